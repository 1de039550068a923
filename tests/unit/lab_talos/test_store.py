"""Records survive, are private, and say nothing of what they hold."""

import stat
from pathlib import Path

from infraflux_lab.talos.store import ClusterRecord, MachineRecord, Member, Store

CANARY = "canary-secret-90b1"


def test_machine_round_trip(tmp_path: Path) -> None:
    store = Store(tmp_path)
    record = MachineRecord(key="dev/100", config=CANARY, version="v1.13.9", etcd_data=True)
    store.save_machine(record)
    assert store.machine("dev/100") == record
    assert list(store.machines()) == [record]
    store.forget_machine("dev/100")
    assert store.machine("dev/100") == MachineRecord(key="dev/100")


def test_cluster_round_trip(tmp_path: Path) -> None:
    store = Store(tmp_path)
    record = ClusterRecord(cluster_id="a/b+c=", members=[Member(id=1, name="cp", address="10.0.0.1", machine="dev/1")])
    store.save_cluster(record)
    assert store.cluster("a/b+c=") == record
    store.forget_cluster("a/b+c=")
    assert store.cluster("a/b+c=").members == []


def test_files_are_private_and_whole(tmp_path: Path) -> None:
    store = Store(tmp_path / "talos")
    store.save_machine(MachineRecord(key="dev/100", config=CANARY))
    (path,) = (tmp_path / "talos" / "machines").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_representation_holds_no_configuration() -> None:
    assert CANARY not in repr(MachineRecord(key="dev/100", config=CANARY))
