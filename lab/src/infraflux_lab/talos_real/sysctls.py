"""Settings of the whole machine that Talos and the kubelet write: kept before the first node starts, put back after.

Every other setting they write belongs to a network namespace and goes with it.
"""

import json
from contextlib import suppress
from pathlib import Path

from infraflux.core.files import write_whole
from infraflux_lab.state import read_json

# Talos: kernel_param_defaults.go of its runtime controllers. Kubelet: setupKernelTunables of its container manager.
NAMES = (
    *("fs/aio-max-nr", "fs/inotify/max_user_instances", "fs/inotify/max_user_watches"),
    *(
        "kernel/keys/root_maxbytes",
        "kernel/keys/root_maxkeys",
        "kernel/panic",
        "kernel/panic_on_oops",
        "kernel/pid_max",
    ),
    *("vm/overcommit_memory", "vm/panic_on_oom"),
)
HOME = Path("/proc/sys")


def keep(file: Path, *, home: Path = HOME) -> None:
    """Write down what is set now, unless a lab that was killed has left its own record of before."""
    if file.exists():
        return
    values = {name: (home / name).read_text().strip() for name in NAMES if (home / name).exists()}
    write_whole(file, json.dumps(values).encode())


def put_back(file: Path, *, home: Path = HOME) -> list[str]:
    """Set again what was kept; names of those that had changed."""
    changed = []
    for name, value in read_json(file, {}).items():
        with suppress(OSError):
            if (home / name).read_text().strip() != value:
                (home / name).write_text(value)
                changed.append(name)
    file.unlink(missing_ok=True)
    return changed
