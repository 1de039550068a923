"""Each kind of Talos drift is found in its layer, with its class; an untouched cluster shows none."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fakes.specs import make_spec

from infraflux.adapters.talos.documents import FieldChange
from infraflux.adapters.talos.facts import EtcdMember, EtcdSeen, NodeFacts, NodeState, TalosFacts
from infraflux.drift.findings import DriftClass, Layer
from infraflux.drift.system_image import wanted_image
from infraflux.drift.talos import find_talos_drift

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SPEC = make_spec(control_planes=1, workers=1)
CP, WORKER = "dev-1-cp-1", "dev-1-worker-1"
IMAGE = wanted_image(SPEC)
FAR = NOW + timedelta(days=300)


def node(name: str, **changes) -> NodeFacts:
    return NodeFacts(**({"name": name, "state": NodeState.RUNNING, "image": IMAGE} | changes))


def facts(*changed: NodeFacts, members: tuple[str, ...] = (CP,), certificates: dict | None = None) -> TalosFacts:
    nodes = {name: node(name) for name in (CP, WORKER)} | {one.name: one for one in changed}
    etcd = EtcdSeen(tuple(EtcdMember("1", name, (), False) for name in members), CP)
    return TalosFacts(
        nodes=nodes, etcd=etcd, certificates={"kubeconfig": FAR} if certificates is None else certificates
    )


def change(path: str) -> FieldChange:
    return FieldChange(path, "a", "b")


def test_untouched_cluster_has_no_drift():
    assert find_talos_drift(SPEC, facts(), now=NOW) == ([], [])


DRIFT = {
    "worker's sysctl": (
        facts(node(WORKER, config_changes=(change("v1alpha1.machine.sysctls.a"),))),
        (WORKER, "v1alpha1.machine.sysctls.a", DriftClass.REPAIRABLE),
    ),
    "control plane's network": (
        facts(node(CP, config_changes=(change("v1alpha1.machine.network.interfaces[0].mtu"),))),
        (CP, "v1alpha1.machine.network.interfaces[0].mtu", DriftClass.DANGEROUS),
    ),
    "worker's network": (
        facts(node(WORKER, config_changes=(change("v1alpha1.machine.network.nameservers[0]"),))),
        (WORKER, "v1alpha1.machine.network.nameservers[0]", DriftClass.REPAIRABLE),
    ),
    "kubelet's version": (
        facts(node(WORKER, config_changes=(change("v1alpha1.machine.kubelet.image"),))),
        (WORKER, "v1alpha1.machine.kubelet.image", DriftClass.DANGEROUS),
    ),
    "hostname": (
        facts(node(WORKER, config_changes=(change("HostnameConfig.hostname"),))),
        (WORKER, "HostnameConfig.hostname", DriftClass.REPAIRABLE),
    ),
    "Talos version": (
        facts(node(WORKER, image=replace(IMAGE, version="v1.13.8"))),
        (WORKER, "version", DriftClass.DANGEROUS),
    ),
    "extension added": (
        facts(node(WORKER, image=replace(IMAGE, schematic="a" * 64, extensions=("iscsi-tools",)))),
        (WORKER, "extensions", DriftClass.DANGEROUS),
    ),
    "kernel argument changed": (
        facts(node(CP, image=replace(IMAGE, schematic="a" * 64))),
        (CP, "schematic", DriftClass.DANGEROUS),
    ),
    "worker wiped": (
        facts(node(WORKER, state=NodeState.MAINTENANCE)),
        (WORKER, "state", DriftClass.REPAIRABLE),
    ),
    "control plane wiped": (facts(node(CP, state=NodeState.MAINTENANCE)), (CP, "state", DriftClass.DANGEROUS)),
    "stranger in etcd": (facts(members=(CP, "ghost")), ("etcd", "member ghost", DriftClass.DANGEROUS)),
    "member gone": (facts(members=("ghost",)), ("etcd", f"member {CP}", DriftClass.DANGEROUS)),
    "kubeconfig about to end": (
        facts(certificates={"kubeconfig": NOW + timedelta(days=29)}),
        ("kubeconfig", "certificate", DriftClass.REPAIRABLE),
    ),
    "authority about to end": (
        facts(certificates={"os authority": NOW + timedelta(days=5)}),
        ("os authority", "certificate", DriftClass.DANGEROUS),
    ),
}


@pytest.mark.parametrize(("seen", "expected"), DRIFT.values(), ids=DRIFT.keys())
def test_drift_is_found_with_its_class(seen: TalosFacts, expected: tuple):
    findings, unknown = find_talos_drift(SPEC, seen, now=NOW)
    assert (findings[0].object, findings[0].field, findings[0].drift_class) == expected
    assert findings[0].layer is Layer.TALOS
    assert unknown == []


@pytest.mark.parametrize("state", [NodeState.SILENT, NodeState.LOCKED])
def test_node_that_cannot_be_read_is_unknown_and_never_clean(state: NodeState):
    findings, unknown = find_talos_drift(SPEC, facts(node(WORKER, state=state, unknown="refused")), now=NOW)
    assert (findings, unknown) == ([], [f"{WORKER}: refused"])


def test_extensions_that_cannot_be_read_are_unknown_and_not_gone():
    assert find_talos_drift(SPEC, facts(node(WORKER, image=None)), now=NOW) == (
        [],
        [f"{WORKER}: its extensions could not be read"],
    )


def test_a_control_plane_that_lists_no_etcd_is_no_clean_cluster():
    empty = TalosFacts(nodes=facts().nodes, etcd=None, certificates={})
    [found], unknown = find_talos_drift(SPEC, empty, now=NOW)
    assert (found.object, found.field, found.drift_class) == ("etcd", "members", DriftClass.DANGEROUS)
    assert unknown == []
