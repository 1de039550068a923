"""The project's own Talos adapter against the emulator with the real control plane: from blank machines and back."""

from ipaddress import IPv4Address

import pytest
from fakes.rollouts import node_exit
from fakes.specs import make_spec
from labkit.bring_up import bring_up
from labkit.cni import install_cni

from infraflux.adapters.kubernetes.facts import KubernetesNode
from infraflux.core.clock import NotYet, SystemClock, wait_until
from infraflux.core.errors import InfrafluxError, Permanent
from infraflux.core.outcomes import Noop
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.health import read_nodes, wait_healthy
from infraflux.operations.rollout import Rollout
from infraflux.operations.talos import open_talos
from infraflux.operations.talos_facts import read_facts
from infraflux.operations.talos_upgrade import upgrade_nodes
from infraflux.operations.teardown import teardown
from infraflux_lab.contracts import Disk, Machine, Nic

pytestmark = [pytest.mark.lab, pytest.mark.tools]
GIB = 1024**3


def spec_on_loopback(world, *, control_planes, workers):
    """The test spec with addresses this machine has."""
    net = str(world.address(0)).rsplit(".", 1)[0]
    document = make_spec(control_planes=control_planes, workers=workers).model_dump(mode="json")
    network = document["network"] | {"node_cidr": f"{net}.0/24", "gateway": f"{net}.1", "vip": f"{net}.10"}
    network["load_balancer"] = {"pools": [{"name": "main", "addresses": f"{net}.200-{net}.219"}]}
    pools = [
        {**pool, "addresses": f"{net}.{start}-{net}.{start + 9}"}
        for pool, start in zip(document["node_pools"], (11, 21), strict=True)
    ]
    secrets = {"identity": "file:.infraflux/age/identity.txt"}
    return make_spec(network=network, node_pools=pools, secrets=secrets)


def machine_of(node, version):
    return Machine(
        environment="dev",
        vm_id=node.vm_id,
        name=node.name,
        uuid=node.uuid,
        host=node.host,
        cores=node.cores,
        memory_mib=node.memory_mib,
        disks=[
            Disk(
                interface="scsi0",
                size_bytes=node.system_disk_gib * GIB,
                volume=f"local-lvm:vm-{node.vm_id}-disk-0",
                image=f"local:import/talos-{version}-nocloud-amd64.raw",
                generation="1",
            )
        ],
        nics=[Nic(mac=node.mac, bridge="vmbr0", address=str(IPv4Address(node.address)))],
    )


def power_on(world, spec):
    for node in spec.nodes:
        machine = machine_of(node, spec.versions.talos)
        world.power.add(machine)
        world.run(world.power.start(machine.key))


def bootstrap(talos):
    outcomes = bring_up(talos)
    wait_healthy(talos, require_ready=False)
    install_cni(talos.workspace.kubeconfig, cluster=talos.spec.key)
    wait_healthy(talos, require_ready=True)
    return outcomes


@pytest.mark.parametrize(("control_planes", "workers"), [(1, 1), (3, 3)], ids=["1+1", "3+3"])
def test_from_blank_machines_to_healthy_and_back(real, tmp_path, control_planes, workers):
    spec = spec_on_loopback(real, control_planes=control_planes, workers=workers)
    power_on(real, spec)
    log = []
    talos = open_talos(spec, root=tmp_path, log=log.append)
    bootstrap(talos)

    again = bootstrap(open_talos(spec, root=tmp_path))
    assert all(isinstance(outcome, Noop) for outcome in again), again
    facts = read_facts(talos)
    assert {node.image.version for node in facts.nodes.values()} == {"v1.13.9"}
    assert not any(node.config_changes for node in facts.nodes.values())
    assert facts.etcd is not None
    assert len(facts.etcd.members) == control_planes

    teardown(talos)
    assert not real.power.on
    real.until(lambda: "etcd-data-gone" in real.log.kinds(), "data gone with the last member")


def test_talos_is_upgraded_in_place(real, tmp_path):
    """A cluster that runs an older Talos gets the wanted one, node by node, and is whole afterwards."""
    spec = spec_on_loopback(real, control_planes=1, workers=1)
    older = spec.model_copy(update={"versions": spec.versions.model_copy(update={"talos": "v1.13.8"})})
    power_on(real, older)
    bootstrap(open_talos(older, root=tmp_path))
    talos = open_talos(spec, root=tmp_path)
    assert set(upgrade_nodes(rollout_of(talos))) == {node.name for node in spec.nodes}
    bootstrap(talos)
    assert {node.image.version for node in read_facts(talos).nodes.values()} == {"v1.13.9"}
    assert all(isinstance(outcome, Noop) for outcome in upgrade_nodes(rollout_of(talos)).values())


def rollout_of(talos: TalosCluster) -> Rollout:
    """There is no Kubernetes here to drain nodes of: `tests/lab/upgrades` does that."""
    nodes = [KubernetesNode(node.name, True, (), talos.spec.versions.kubernetes) for node in talos.spec.nodes]
    return Rollout(cluster=talos, leave=node_exit(talos.spec.policy.rollout, []), read_nodes=lambda: nodes)


ROLE, GPU = "node-role.kubernetes.io/gpu", {"key": "gpu", "value": "yes", "effect": "NoSchedule"}


def with_pool(spec, **changes):
    document = spec.model_dump(mode="json")
    pools = document["node_pools"]
    kept = {name: document[name] for name in ("network", "secrets")}
    return make_spec(node_pools=[*pools[:-1], pools[-1] | changes], **kept)


def test_a_worker_gets_labels_and_taints_that_it_may_not_write_itself(real, tmp_path):
    """The API server is a real one, with NodeRestriction: what a kubelet may not do, nobody did as a kubelet."""
    bare = spec_on_loopback(real, control_planes=1, workers=1)
    spec = with_pool(bare, labels={ROLE: "", "tier": "edge"}, taints=[GPU])
    power_on(real, spec)
    talos = open_talos(spec, root=tmp_path)
    bootstrap(talos)
    worker = spec.workers[0].name

    def seen():
        return next(one for one in read_nodes(talos.workspace.kubeconfig) if one.name == worker)

    assert (seen().labels[ROLE], seen().labels["tier"]) == ("", "edge")
    assert seen().taints["gpu:NoSchedule"] == "yes"
    assert "node-labels-refused" not in real.log.kinds()
    bootstrap(open_talos(bare, root=tmp_path))
    assert ROLE not in seen().labels
    assert "gpu:NoSchedule" not in seen().taints
    # Talos takes away its own.
    probe = lambda: NotYet("tier is there") if "tier" in seen().labels else None  # noqa: E731
    assert wait_until(probe, clock=SystemClock(), deadline_s=30, what="the label to go") is None


def test_talos_cannot_taint_a_worker(real, tmp_path):
    """Why `machine.nodeTaints` is not used for workers: the API server refuses it, and the labels with it."""
    spec = spec_on_loopback(real, control_planes=1, workers=1)
    power_on(real, spec)
    talos = open_talos(spec, root=tmp_path)
    bootstrap(talos)
    worker = spec.workers[0]
    patch = {"machine": {"nodeTaints": {"gpu": "yes:NoSchedule"}, "nodeLabels": {"tier": "edge"}}}
    real.run(real.lab.edit_config(f"dev/{worker.vm_id}", patch))
    real.until(lambda: "node-labels-refused" in real.log.kinds(), "the API server to refuse it")
    seen = next(one for one in read_nodes(talos.workspace.kubeconfig) if one.name == worker.name)
    assert "gpu:NoSchedule" not in seen.taints
    assert "tier" not in seen.labels


def test_drift_is_seen(real, tmp_path):
    spec = spec_on_loopback(real, control_planes=1, workers=1)
    power_on(real, spec)
    talos = open_talos(spec, root=tmp_path)
    bootstrap(talos)
    worker = spec.workers[0]
    real.run(real.lab.edit_config(f"dev/{worker.vm_id}", {"machine": {"nodeLabels": {"by": "hand"}}}))
    facts = read_facts(talos)
    assert [change.path for change in facts.nodes[worker.name].config_changes] == ["v1alpha1.machine.nodeLabels.by"]
    bootstrap(talos)
    assert not read_facts(talos).nodes[worker.name].config_changes


def test_wrong_machine_gets_nothing(real, tmp_path):
    spec = spec_on_loopback(real, control_planes=1, workers=0)
    first = spec.control_planes[0]
    real.faults.add("wrong-identity", f"dev/{first.vm_id}")
    power_on(real, spec)
    with pytest.raises(Permanent, match="should be"):
        bootstrap(open_talos(spec, root=tmp_path))
    assert "config-installed" not in real.log.kinds()


def test_lost_answers_are_made_up_for(real, tmp_path):
    """The bootstrap's reply is lost and one machine reboots for ever: the first heals, the second is named."""
    spec = spec_on_loopback(real, control_planes=1, workers=1)
    first, worker = spec.control_planes[0], spec.workers[0]
    spec = spec.model_copy(update={"talos": spec.talos.model_copy(update={"boot_timeout_s": 30})})
    real.faults.add("bootstrap-race", f"dev/{first.vm_id}")
    real.faults.add("never-boots", f"dev/{worker.vm_id}")
    power_on(real, spec)
    with pytest.raises(InfrafluxError, match=worker.name):
        bootstrap(open_talos(spec, root=tmp_path))
    assert real.log.kinds().count("bootstrapped") == 1
    real.run(real.power.guest_reboot(f"dev/{worker.vm_id}"))
    bootstrap(open_talos(spec, root=tmp_path))
