"""Puts the machine back as it was once the lab has ended, in whichever way: orderly, or killed.

A small process beside the lab. It waits for the end of a pipe that only the lab's process holds open, then removes
what outlives processes: bridges, control groups, changed settings. Nodes and their mounts, cables and namespaces end
with the lab by themselves (see `boot`).
"""

import asyncio
import json
import sys
from pathlib import Path

from infraflux_lab.talos_real import cgroups, sysctls
from infraflux_lab.talos_real.layout import Layout
from infraflux_lab.talos_real.network import BRIDGE, CARD, device_prefix, ip

WAIT_S = 30.0


async def links(lab: str) -> list[str]:
    """Network devices of this lab that exist in our network namespace."""
    prefixes = tuple(device_prefix(kind, lab=lab) for kind in (BRIDGE, CARD))
    found = json.loads(await ip("-json", "link", "show") or "[]")
    return [one["ifname"] for one in found if one["ifname"].startswith(prefixes)]


async def sweep(layout: Layout) -> None:
    """Remove what a lab left behind; nothing happens where there is nothing."""
    cgroups.Groups(layout.lab, cgroups.mounted()).remove_all()
    for name in await links(layout.lab):
        await ip("link", "delete", name, check=False)
    sysctls.put_back(layout.sysctls)


class Reaper:
    """The process, as the lab sees it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Begin to watch over this process."""
        argv = [sys.executable, "-m", "infraflux_lab.talos_real.reaper", str(self._layout.home)]
        # A session of its own: what kills the lab's whole group must not take it along.
        self._process = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.PIPE, start_new_session=True, cwd="/"
        )

    async def finish(self) -> None:
        """Let it do its work, and wait for the end of it."""
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        await asyncio.wait_for(self._process.wait(), WAIT_S)


def main() -> None:
    """Wait for the end of standard input, then clean up."""
    while sys.stdin.buffer.read(1):
        pass
    asyncio.run(sweep(Layout(home=Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
