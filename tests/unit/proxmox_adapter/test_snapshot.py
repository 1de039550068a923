"""One look serves many: each call is made once, answers are compared as they are, an error is everybody's."""

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from infraflux.adapters.proxmox.client import ProxmoxAccess, ProxmoxMissing
from infraflux.adapters.proxmox.snapshot import Snapshot
from infraflux.core.errors import Retryable

ACCESS = ProxmoxAccess(endpoint="https://pve:8006", token_id="a@pve!b", token_secret="c")
ROW = {"type": "qemu", "vmid": 101, "node": "pve1", "name": "a", "status": "running", "cpu": 0.3, "uptime": 7}
CONFIG = {"cpu": "host", "cores": 2, "scsi0": "lvm:vm-101-disk-0,size=20G", "ide2": "none,media=cdrom", "digest": "1"}
PENDING = [{"key": "digest", "value": "1"}, {"key": "cores", "value": 1, "pending": 2}]
VOLUME = {"volid": "lvm:vm-101-disk-0", "size": 20, "format": "raw", "used": 3}
ANSWERS = {
    "cluster/resources": [ROW, {"type": "node", "node": "pve1"}],
    "nodes/pve1/qemu/101/config": CONFIG,
    "nodes/pve1/qemu/101/pending": PENDING,
    "nodes/pve1/storage/lvm/content": [VOLUME],
    "pools": [{"poolid": "p", "comment": "c"}],
    "cluster/ha/resources": [{"sid": "vm:101", "state": "started", "digest": "x"}, {"sid": "vm:9"}],
    "cluster/ha/rules": [
        {"rule": "ours-hosts", "resources": "vm:101"},
        {"rule": "by-hand", "resources": "vm:8, vm:101"},
        {"rule": "others", "resources": "vm:1010"},
    ],
}


class FakeReader:
    """Answers from a table; counts what it was asked."""

    asked: Counter[str]

    def __init__(self, answers: Mapping[str, Any], asked: Counter[str]) -> None:
        self.answers, self.asked = answers, asked

    def read(self, path: str, **parameters: Any) -> Any:
        self.asked[path] += 1
        answer = self.answers.get(path, ProxmoxMissing(f"{path} does not exist"))
        if isinstance(answer, Exception):
            raise answer
        return answer


def look(**changes: Any) -> tuple[Snapshot, Counter[str]]:
    """A snapshot of ANSWERS with some of them changed; `name__of__path=` is the path."""
    asked: Counter[str] = Counter()
    answers = {**ANSWERS, **{name.replace("__", "/"): value for name, value in changes.items()}}
    return Snapshot(ACCESS, connect=lambda _: FakeReader(answers, asked)), asked


def test_a_machine_is_its_row_its_configuration_and_its_volumes() -> None:
    snapshot, _ = look()
    assert snapshot.machines([101, 102]) == {
        "vm/101": {
            "row": {key: value for key, value in ROW.items() if key not in ("cpu", "uptime")},
            "config": {key: value for key, value in CONFIG.items() if key != "digest"},
            "pending": PENDING[1:],
            "volumes": {"lvm:vm-101-disk-0": {"volid": "lvm:vm-101-disk-0", "size": 20, "format": "raw"}},
        },
        "vm/102": None,
    }


def test_the_type_of_the_processor_is_no_load() -> None:
    one, other = look()[0], look(nodes__pve1__qemu__101__config={**CONFIG, "cpu": "kvm64"})[0]
    assert one.machines([101]) != other.machines([101])


STILL = {
    "load": {"cluster__resources": [ROW | {"cpu": 0.9, "mem": 5, "uptime": 99, "pressureiosome": 1.0}]},
    "checksum of the file": {"nodes__pve1__qemu__101__config": CONFIG | {"digest": "2"}},
    "fill level of a volume": {"nodes__pve1__storage__lvm__content": [VOLUME | {"used": 9}]},
}


@pytest.mark.parametrize("changes", STILL.values(), ids=STILL.keys())
def test_what_moves_by_itself_is_no_difference(changes: dict[str, Any]) -> None:
    assert look(**changes)[0].machines([101]) == look()[0].machines([101])


def test_a_machine_that_goes_while_it_is_read_differs_and_fails_nothing() -> None:
    gone, _ = look(nodes__pve1__qemu__101__config=ProxmoxMissing("does not exist"))
    assert gone.machines([101]) != look()[0].machines([101])


def test_ha_knows_the_machines_and_every_rule_that_names_one() -> None:
    snapshot, _ = look()
    assert snapshot.ha([101, 102], rule_prefix="ours-") == {
        "ha/vm:101": {"sid": "vm:101", "state": "started"},
        "ha/vm:102": None,
        "rule/ours-hosts": {"rule": "ours-hosts", "resources": "vm:101"},
        "rule/by-hand": {"rule": "by-hand", "resources": "vm:8, vm:101"},
    }


def test_pools_and_files_that_are_not_there_are_said() -> None:
    snapshot, _ = look()
    assert snapshot.pools(["p", "q"]) == {"pool/p": {"poolid": "p", "comment": "c"}, "pool/q": None}
    places = [("pve1", "lvm", "lvm:vm-101-disk-0"), ("pve1", "lvm", "lvm:x"), ("pve1", "nowhere", "nowhere:x")]
    assert [value is not None for value in snapshot.files(places).values()] == [True, False, False]


def test_each_call_is_made_once_whoever_asks() -> None:
    snapshot, asked = look()
    with ThreadPoolExecutor(max_workers=8) as pool:
        found = list(pool.map(lambda _: snapshot.machines([101]), range(20)))
    assert all(one == found[0] for one in found)
    assert asked == {
        "cluster/resources": 1, "nodes/pve1/qemu/101/config": 1, "nodes/pve1/qemu/101/pending": 1,
        "nodes/pve1/storage/lvm/content": 1,
    }  # fmt: skip


def test_an_endpoint_that_cannot_be_read_is_an_error_for_everybody() -> None:
    snapshot, asked = look(cluster__resources=Retryable("no route"))
    for _ in range(2):
        with pytest.raises(Retryable, match="no route"):
            snapshot.machines([101])
    assert asked == {"cluster/resources": 1}
