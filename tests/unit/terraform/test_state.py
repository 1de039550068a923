"""A state that is not the one the last run left is never planned on."""

import json
from pathlib import Path
from typing import Any

import pytest

from infraflux.adapters.terraform.state import (
    KEPT_BACKUPS,
    StateArchive,
    StateHead,
    StateRecord,
    StateRefused,
    judge_state,
    parse_state,
)

RECORD = StateRecord(lineage="l-1", serial=5)


def document(serial: int = 5, lineage: str = "l-1", **changes: Any) -> str:
    return json.dumps({"version": 4, "serial": serial, "lineage": lineage, "outputs": {}, "resources": [], **changes})


@pytest.mark.parametrize(
    ("head", "record", "part"),
    [
        (None, None, ""),
        (StateHead(lineage="x", serial=1), None, ""),
        (StateHead(lineage="l-1", serial=5), RECORD, ""),
        (StateHead(lineage="l-1", serial=9), RECORD, ""),
        (None, RECORD, "is missing; the last run left serial 5"),
        (StateHead(lineage="l-2", serial=9), RECORD, "has lineage l-2; the last run left l-1"),
        (StateHead(lineage="l-1", serial=4), RECORD, "is at serial 4; the last run left 5"),
    ],
    ids=["first-run", "no-record", "same", "newer", "missing", "other-lineage", "older"],
)
def test_judge_state(head: StateHead | None, record: StateRecord | None, part: str) -> None:
    assert part in judge_state(head, record)
    assert bool(judge_state(head, record)) == bool(part)


def test_machines_are_read_with_their_address() -> None:
    instance = {"index_key": None, "attributes": {"name": "a", "vm_id": 10, "node_name": "pve1"}}
    resource = {
        "mode": "managed",
        "module": 'module.machines.module.node["a"]',
        "type": "proxmox_virtual_environment_vm",
        "name": "this",
        "instances": [instance],
    }
    head = parse_state(document(resources=[resource], outputs={"nodes": {"value": 1, "type": "number"}}))
    (machine,) = head.machines
    assert (machine.name, machine.vm_id, machine.host) == ("a", 10, "pve1")
    assert machine.address == 'module.machines.module.node["a"].proxmox_virtual_environment_vm.this'
    assert head.outputs == {"nodes": 1}
    assert head.resources == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"lineage": "x"}'])
def test_a_damaged_state_is_refused(text: str) -> None:
    with pytest.raises(StateRefused, match="damaged"):
        parse_state(text)


def test_the_archive_keeps_versions_and_never_goes_back(tmp_path: Path) -> None:
    archive = StateArchive(tmp_path)
    for serial in range(1, KEPT_BACKUPS + 6):
        archive.keep(document(serial))
        archive.keep(document(serial))
    assert len(archive.backups()) == KEPT_BACKUPS
    assert archive.record() == StateRecord(lineage="l-1", serial=KEPT_BACKUPS + 5)
    with pytest.raises(StateRefused):
        archive.keep(document(3))
    with pytest.raises(StateRefused):
        archive.keep(document(99, lineage="other"))
    assert parse_state(archive.newest() or "").serial == KEPT_BACKUPS + 5


def test_a_damaged_backup_is_passed_over(tmp_path: Path) -> None:
    archive = StateArchive(tmp_path)
    archive.keep(document(1))
    archive.keep(document(2))
    archive.backups()[0].write_text("{")
    # Serial 1 is older than the record: nothing sound is left, and nothing older is handed out.
    assert archive.newest() is None
    archive.forget()
    assert parse_state(archive.newest() or "").serial == 1
