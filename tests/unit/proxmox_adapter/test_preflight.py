"""Preflight and orphans as tables: what is there, and what is said about it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from infraflux.adapters.proxmox.facts import Guest, Observed, StorageOnHost
from infraflux.adapters.proxmox.orphans import find_orphans, placement
from infraflux.adapters.proxmox.preflight import PreflightFailed, judge_preflight, require_passed
from infraflux.config.models import ClusterSpec
from infraflux.core.errors import ErrorClass

SpecWith = Callable[..., ClusterSpec]
ObservedWith = Callable[..., Observed]
OURS = frozenset({"infraflux", "infraflux-dev-dev-1"})


def guest(vm_id: int, name: str, host: str = "pve1", **changes: Any) -> Guest:
    return Guest(vm_id=vm_id, name=name, host=host, **{"tags": OURS, "memory_mib": 4096, **changes})


def host(observed: Observed, name: str, **changes: Any) -> Mapping[str, Any]:
    return {**observed.hosts, name: replace(observed.hosts[name], **changes)}


def storage(observed: Observed, on: str, name: str, **changes: Any) -> Mapping[tuple[str, str], StorageOnHost]:
    return {**observed.storages, (on, name): replace(observed.storages[on, name], **changes)}


CASES: dict[str, tuple[Callable[[Observed], dict[str, Any]], list[tuple[ErrorClass, str]]]] = {
    "all well": (lambda _: {}, []),
    "ours are no strangers": (lambda _: {"guests": (guest(10011, "dev-1-cp-1"),)}, []),
    "foreign id": (
        lambda _: {"guests": (guest(10011, "web", tags=frozenset()),)},
        [(ErrorClass.CONFLICT, "VM id 10011 of dev-1-cp-1 belongs to 'web' on pve1")],
    ),
    "only begun, so nobody's yet": (
        lambda _: {"guests": (guest(10011, "VM10011", tags=frozenset(), lock="create"),)},
        [],
    ),
    "locked by a backup and somebody else's": (
        lambda _: {"guests": (guest(10011, "web", tags=frozenset(), lock="backup"),)},
        [(ErrorClass.CONFLICT, "VM id 10011")],
    ),
    "our tag, another name": (
        lambda _: {"guests": (guest(10011, "web"),)},
        [(ErrorClass.CONFLICT, "VM id 10011")],
    ),
    "tag of a cluster whose name begins alike": (
        lambda _: {"guests": (guest(10011, "dev-1-cp-1", tags=frozenset({"infraflux-dev-dev-10"})),)},
        [(ErrorClass.CONFLICT, "VM id 10011")],
    ),
    "lost tag of a machine the state knows": (
        lambda _: {"guests": (guest(10012, "dev-1-cp-2", tags=frozenset()),)},
        [],
    ),
    "name taken": (
        lambda _: {"guests": (guest(500, "dev-1-cp-1", tags=frozenset()),)},
        [(ErrorClass.CONFLICT, "the name dev-1-cp-1 is taken by VM 500")],
    ),
    "host offline": (
        lambda observed: {"hosts": host(observed, "pve2", online=False)},
        [(ErrorClass.CAPACITY, "host pve2 is offline")],
    ),
    "host gone": (
        lambda observed: {"hosts": {name: one for name, one in observed.hosts.items() if name != "pve2"}},
        [(ErrorClass.CONFIG, "host pve2 does not exist; Proxmox has pve1, pve3")],
    ),
    "too few cores": (
        lambda observed: {"hosts": host(observed, "pve2", cores=2)},
        [
            (
                ErrorClass.CAPACITY,
                "dev-1-worker-2 wants 4 cores, host pve2 has 2: 2 would fit, or a host with more: pve1 (16), pve3 (16)",
            )
        ],
    ),
    "memory taken by a stopped guest": (
        lambda _: {"guests": (guest(500, "big", memory_mib=60_000, running=False, tags=frozenset()),)},
        [(ErrorClass.CAPACITY, "host pve1 has 65536 MiB memory")],
    ),
    "a template takes no memory": (
        lambda _: {"guests": (guest(500, "big", memory_mib=60_000, template=True, tags=frozenset()),)},
        [],
    ),
    "bridge missing": (
        lambda observed: {"hosts": host(observed, "pve3", bridges=frozenset({"vmbr1"}))},
        [(ErrorClass.CONFIG, "bridge vmbr0 does not exist on host pve3, which has vmbr1")],
    ),
    "storage down": (
        lambda observed: {"storages": storage(observed, "pve1", "local", active=False)},
        [(ErrorClass.CONFIG, "storage local on host pve1 is not available")],
    ),
    "content not allowed": (
        lambda observed: {"storages": storage(observed, "pve1", "local", content=frozenset({"iso"}))},
        [(ErrorClass.CONFIG, "storage local on host pve1 does not allow content 'import', only iso")],
    ),
    "no space for what is new": (
        lambda observed: {"storages": storage(observed, "pve1", "local-lvm", free_gib=100)},
        [(ErrorClass.CAPACITY, "storage local-lvm on host pve1 has 100 GiB free, new machines need 110 GiB")],
    ),
    "space for what is there counts no more": (
        lambda observed: {
            "storages": storage(observed, "pve1", "local-lvm", free_gib=0),
            "guests": (guest(10011, "dev-1-cp-1"), guest(10021, "dev-1-worker-1")),
        },
        [],
    ),
    "old version": (lambda _: {"version": (8, 2)}, [(ErrorClass.CONFIG, "Proxmox VE 8.2 is too old")]),
    "no privileges": (
        lambda _: {"privileges": {"/": frozenset({"Sys.Audit"})}},
        [(ErrorClass.USER, "lacks ")] * 8,
    ),
}


@pytest.mark.parametrize(("changes", "expected"), CASES.values(), ids=CASES.keys())
def test_preflight(
    spec_with: SpecWith,
    observed_with: ObservedWith,
    changes: Callable[[Observed], dict[str, Any]],
    expected: list[tuple[ErrorClass, str]],
) -> None:
    spec = spec_with()
    observed = observed_with(spec, **changes(observed_with(spec)))
    findings = judge_preflight(spec, observed, known={10012})
    assert [finding.error_class for finding in findings] == [error_class for error_class, _ in expected], findings
    for finding, (_, part) in zip(findings, expected, strict=True):
        assert part in finding.message


def test_everything_is_said_at_once(spec_with: SpecWith, observed_with: ObservedWith) -> None:
    spec = spec_with()
    well = observed_with(spec)
    observed = observed_with(spec, version=(8, 2), hosts=host(well, "pve2", online=False))
    with pytest.raises(PreflightFailed) as failed:
        require_passed(judge_preflight(spec, observed), cluster=spec.key)
    assert "too old" in str(failed.value)
    assert "pve2 is offline" in str(failed.value)
    assert "proxmox token" not in str(failed.value)


def test_a_missing_right_comes_with_the_command_that_shows_how_to_give_it(
    spec_with: SpecWith, observed_with: ObservedWith
) -> None:
    spec = spec_with()
    with pytest.raises(PreflightFailed) as failed:
        require_passed(judge_preflight(spec, observed_with(spec, privileges={})), cluster=spec.key)
    assert "infraflux proxmox token dev --rights-only" in str(failed.value)


def test_a_host_loss_that_ha_could_not_survive_is_a_warning(spec_with: SpecWith, observed_with: ObservedWith) -> None:
    spec = spec_with(proxmox={"ha": True})
    hosts = {name: replace(one, memory_mib=16384) for name, one in observed_with(spec).hosts.items()}
    (finding,) = judge_preflight(spec, observed_with(spec, hosts=hosts))
    assert not finding.fatal
    assert "could not restart everything" in finding.message
    require_passed([finding], cluster=spec.key)


def test_ha_needs_rules(spec_with: SpecWith, observed_with: ObservedWith) -> None:
    spec = spec_with(proxmox={"ha": True})
    (finding,) = judge_preflight(spec, observed_with(spec, version=(8, 4)))
    assert "HA rules need 9.0" in finding.message


def test_orphans_are_told_apart(spec_with: SpecWith) -> None:
    spec = spec_with()
    found = find_orphans(
        spec,
        guests=[
            guest(10011, "dev-1-cp-1"),
            guest(10012, "dev-1-cp-2"),
            guest(10013, "dev-1-cp-3", lock="create"),
            guest(10021, "renamed"),
            guest(10023, "VM10023", tags=frozenset(), lock="create"),
            guest(1001, "VM1001", tags=frozenset(), lock="create"),
            guest(999, "old-node"),
            guest(1000, "foreign", tags=frozenset()),
        ],
        known={10012: "dev-1-cp-2", 10022: "dev-1-worker-2"},
    )
    assert found.adopt == {"dev-1-cp-1": "pve1/10011"}
    assert [one.name for one in found.being_made] == ["dev-1-cp-3"]
    assert [one.vm_id for one in found.unnamed] == [10023]
    assert [one.vm_id for one in found.stray] == [10021, 999]
    assert found.vanished == ("dev-1-worker-2",)
    assert not find_orphans(spec, guests=[guest(1000, "foreign", tags=frozenset())], known={})


def test_placement_is_only_what_differs(spec_with: SpecWith) -> None:
    spec = spec_with()
    guests = [guest(10011, "dev-1-cp-1", "pve3"), guest(10012, "dev-1-cp-2", "pve2"), guest(10013, "other", "pve1")]
    assert placement(spec, guests) == {"dev-1-cp-1": "pve3"}
