"""What others do behind the clients' back."""

from collections.abc import Mapping
from typing import Any

import pytest

from infraflux_lab.proxmox.actions import Actions
from infraflux_lab.state import LabError

from .conftest import Pve


def act(pve: Pve, action: str, **params: str) -> Mapping[str, Any]:
    return pve.runner.run(Actions(pve.sim).run(action, params))


def test_edit(pve: Pve) -> None:
    pve.guest(cores=2, tags="mine")
    assert act(pve, "edit-vm", vm="100", cores="8", tags="theirs", delete="description") == {"vm": 100, "pending": []}
    assert (pve.config()["cores"], pve.config()["tags"]) == (8, "theirs")


def test_foreign_machine(pve: Pve) -> None:
    made = act(pve, "create-vm", host="h2", scsi0="lvm:3", tags="infraflux-dev-x")
    row = pve.ok("GET", "/cluster/resources", type="vm")[0]
    assert (row["vmid"], row["node"], row["tags"]) == (made["vm"], "h2", "infraflux-dev-x")


def test_move_start_stop_delete(pve: Pve) -> None:
    pve.guest(scsi0="lvm:1")
    act(pve, "start-vm", vm="100")
    host = act(pve, "ha-move", vm="100")["host"]
    assert pve.status(node=host) == "running"
    assert act(pve, "stop-vm", vm="100")["status"] == "stopped"
    act(pve, "delete-vm", vm="100")
    assert pve.ok("GET", "/cluster/resources", type="vm") == []
    assert pve.watcher.kinds == ["on", "off", "deleted"]


def test_unlock(pve: Pve) -> None:
    pve.guest()
    act(pve, "edit-vm", vm="100", lock="create")
    assert pve.call("PUT", "/nodes/h1/qemu/100/config", cores=2).reason == "VM is locked (create)"
    act(pve, "unlock-vm", vm="100")
    pve.ok("PUT", "/nodes/h1/qemu/100/config", cores=2)


WRONG = {
    "no machine named": ("edit-vm", {"cores": "2"}, "say which: vm=ID"),
    "unknown machine": ("delete-vm", {"vm": "999"}, "does not exist"),
    "unknown option": ("edit-vm", {"vm": "100", "colour": "red"}, "colour"),
    "unknown action": ("explode", {}, "there are: edit-vm"),
    "unknown host": ("ha-move", {"vm": "100", "host": "h9"}, "no host h9"),
}


@pytest.mark.parametrize(("action", "params", "text"), WRONG.values(), ids=WRONG)
def test_mistakes_are_explained(pve: Pve, action: str, params: dict[str, str], text: str) -> None:
    pve.guest()
    with pytest.raises(LabError, match=text):
        act(pve, action, **params)
