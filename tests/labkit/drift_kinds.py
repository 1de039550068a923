"""Every kind of drift that is injected: how, what the report has to say of it, and how it is undone. One row each."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from labkit.drift_world import DEV, STAGING, World

from infraflux.drift.findings import ClusterDrift, DriftClass, Finding, Layer, Owner
from infraflux.operations.credentials import read_kubeconfig
from infraflux.render.talos import installer_image

CP, WORKER = "dev-1-cp-1", "dev-1-worker-1"
STAGING_CP, STAGING_WORKER = "staging-1-cp-1", "staging-1-worker-1"
DEV_WORKER_VM, STAGING_CP_VM, STAGING_WORKER_VM = 10021, 20011, 20021
HARMLESS, EXPECTED, REPAIRABLE, DANGEROUS = (
    DriftClass.HARMLESS,
    DriftClass.EXPECTED,
    DriftClass.REPAIRABLE,
    DriftClass.DANGEROUS,
)
Act = Callable[[World], Any]


def nothing(_world: World) -> None:
    """Undone already."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """One line of the report; `object` and `field` may hold `*`."""

    object: str
    field: str
    drift_class: DriftClass
    owner: Owner

    def is_said_by(self, finding: Finding, layer: Layer) -> bool:
        return (
            finding.layer is layer
            and fnmatchcase(finding.object, self.object)
            and fnmatchcase(finding.field, self.field)
            and (finding.drift_class, finding.owner) == (self.drift_class, self.owner)
        )


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of drift."""

    name: str
    layer: Layer
    told: tuple[Told, ...]
    inject: Act
    undo: Act
    cluster: str = DEV
    now: Callable[[World], datetime | None] = lambda _world: None
    """The clock of the look, where the kind is a matter of time."""
    unknown: str = ""
    """Words of what the look cannot know meanwhile."""
    slow: bool = False
    """A control loop has to notice first: looked for until it is there."""

    def judge(self, report: ClusterDrift) -> tuple[list[Told], list[Finding]]:
        """What the report does not say, and what it says too much."""
        missed = [one for one in self.told if not any(one.is_said_by(found, self.layer) for found in report.findings)]
        extra = [found for found in report.findings if not any(one.is_said_by(found, self.layer) for one in self.told)]
        return missed, extra


# Machines


def machine(name: str, *told: Told, inject: Act, undo: Act, cluster: str = STAGING) -> Kind:
    return Kind(name=name, layer=Layer.MACHINES, told=told, inject=inject, undo=undo, cluster=cluster)


def of_terraform(object_: str, field: str, drift_class: DriftClass, owner: Owner = Owner.TERRAFORM) -> Told:
    return Told(object=object_, field=field, drift_class=drift_class, owner=owner)


def edited(
    name: str, vm: int, field: str, drift_class: DriftClass, owner: Owner = Owner.TERRAFORM, **options: str
) -> Kind:
    """Options of a VM, edited in Proxmox' own UI; what was there before is put back."""

    def inject(world: World) -> None:
        before = world.config(vm, STAGING)
        world.kept[name] = {key: str(before[key]) for key in options if key in before}
        changed = {key: value.format(before=before.get(key, "")) for key, value in options.items()}
        world.act("edit-vm", STAGING, vm=str(vm), **changed)

    def undo(world: World) -> None:
        before = world.kept[name]
        added = ",".join(key for key in options if key not in before)
        world.act("edit-vm", STAGING, vm=str(vm), **before, **({"delete": added} if added else {}))

    node = STAGING_CP if vm == STAGING_CP_VM else STAGING_WORKER
    return machine(name, of_terraform(node, field, drift_class, owner), inject=inject, undo=undo)


def home_of(world: World, key: str, name: str) -> str:
    return next(node.host for node in world.spec(key).nodes if node.name == name)


def move_away(key: str, vm: int, name: str) -> Act:
    def move(world: World) -> None:
        hosts = [host.name for host in world.spec(key).proxmox.hosts]
        world.act("ha-move", key, vm=str(vm), host=next(one for one in hosts if one != home_of(world, key, name)))

    return move


def move_home(key: str, vm: int, name: str) -> Act:
    return lambda world: world.act("ha-move", key, vm=str(vm), host=home_of(world, key, name))


def delete_image(world: World) -> None:
    client, host = world.proxmox(STAGING), world.spec(STAGING).proxmox.hosts[1].name
    [volume] = [one["volid"] for one in client.nodes(host).storage("local").content.get(content="import")]
    world.act("delete-volume", STAGING, host=host, volume=volume)


def leave_pool(world: World) -> None:
    world.proxmox(STAGING).pools.put(poolid="infraflux-staging", vms=str(STAGING_WORKER_VM), delete=1)


def enter_pool(world: World) -> None:
    world.proxmox(STAGING).pools.put(poolid="infraflux-staging", vms=str(STAGING_WORKER_VM))


def third_machine(world: World) -> None:
    """One more worker, made and then given up: in Git, and in Proxmox by hand. Only the state still knows it."""
    path = "clusters/overlays/staging/staging-1.yaml"
    before = (world.root / path).read_text()
    world.project.edit(path, lambda it: it["node_pools"][1].update(count=2))
    world.redeploy_machines(STAGING)
    (world.root / path).write_text(before)
    client = world.proxmox(STAGING)
    client.cluster.ha.resources("vm:20022").delete()
    world.act("delete-vm", STAGING, vm="20022")


MACHINES = (
    edited("cores of a worker", STAGING_WORKER_VM, "cpu[[]0].cores", REPAIRABLE, cores="4"),
    edited("memory of a control plane", STAGING_CP_VM, "memory[[]0].dedicated", DANGEROUS, memory="6144"),
    edited("a tag added", STAGING_WORKER_VM, "tags", HARMLESS, tags="{before};backup"),
    edited("our tags lost", STAGING_CP_VM, "tags", HARMLESS, tags="mine"),
    edited("description", STAGING_WORKER_VM, "description", HARMLESS, description="Ann's"),
    edited("protection off", STAGING_CP_VM, "protection", REPAIRABLE, protection="0"),
    edited("boot order", STAGING_WORKER_VM, "boot_order[[]0]", REPAIRABLE, boot="order=net0"),
    edited("MTU of a card", STAGING_WORKER_VM, "network_device[[]0].mtu", REPAIRABLE, net0="{before},mtu=1400"),
    edited("a second card", STAGING_WORKER_VM, "network_device", REPAIRABLE, net1="virtio,bridge=vmbr0"),
    edited("a disk added", STAGING_WORKER_VM, "scsi1", DANGEROUS, Owner.NOBODY, scsi1="local-lvm:5"),
    machine(
        "moved by HA",
        of_terraform(STAGING_WORKER, "host", EXPECTED, Owner.NOBODY),
        inject=move_away(STAGING, STAGING_WORKER_VM, STAGING_WORKER),
        undo=move_home(STAGING, STAGING_WORKER_VM, STAGING_WORKER),
    ),
    machine(
        "moved by hand",
        of_terraform(WORKER, "host", REPAIRABLE),
        inject=move_away(DEV, DEV_WORKER_VM, WORKER),
        undo=move_home(DEV, DEV_WORKER_VM, WORKER),
        cluster=DEV,
    ),
    machine(
        "taken out of HA",
        of_terraform("*harule.hosts*", "existence", REPAIRABLE),
        inject=lambda world: world.proxmox(STAGING).cluster.ha.rules("infraflux-staging-staging-1-hosts").delete(),
        undo=lambda world: world.redeploy_machines(STAGING),
    ),
    machine(
        "image removed from a host",
        of_terraform("proxmox_download_file.image*", "existence", REPAIRABLE),
        inject=delete_image,
        undo=lambda world: world.redeploy_machines(STAGING),
    ),
    machine(
        "taken out of the pool",
        of_terraform(STAGING_WORKER, "pool_id", REPAIRABLE),
        inject=leave_pool,
        undo=enter_pool,
    ),
    machine(
        "a foreign VM with our tag",
        of_terraform("stray (VM 299 on *)", "existence", DANGEROUS, Owner.NOBODY),
        inject=lambda world: world.act(
            "create-vm", STAGING, vm="299", name="stray", tags="infraflux-staging-staging-1"
        ),
        undo=lambda world: world.act("delete-vm", STAGING, vm="299"),
    ),
    machine(
        "a worker deleted",
        of_terraform(STAGING_WORKER, "existence", REPAIRABLE),
        of_terraform(f"{STAGING_WORKER} haresource", "existence", REPAIRABLE),
        of_terraform("*harule.hosts*", "resources", REPAIRABLE),
        inject=lambda world: world.act("delete-vm", STAGING, vm=str(STAGING_WORKER_VM)),
        undo=lambda world: world.redeploy_machines(STAGING),
    ),
    machine(
        "only the state knows it",
        of_terraform("staging-1-worker-2", "existence", HARMLESS),
        of_terraform("output nodes", "value", REPAIRABLE),
        inject=third_machine,
        undo=lambda world: world.redeploy_machines(STAGING),
    ),
    machine(
        "a machine locked",
        of_terraform(STAGING_WORKER, "lock", DANGEROUS, Owner.NOBODY),
        inject=lambda world: world.act("edit-vm", STAGING, vm=str(STAGING_WORKER_VM), lock="backup"),
        undo=lambda world: world.act("unlock-vm", STAGING, vm=str(STAGING_WORKER_VM)),
    ),
)


# Talos


def of_talos(object_: str, field: str, drift_class: DriftClass) -> Told:
    return Told(object=object_, field=field, drift_class=drift_class, owner=Owner.TALOSCTL)


def talos(name: str, *told: Told, inject: Act, undo: Act, **more: Any) -> Kind:
    return Kind(name=name, layer=Layer.TALOS, told=told, inject=inject, undo=undo, **more)


def configured(name: str, node: str, field: str, drift_class: DriftClass, edit: Any, back: Any) -> Kind:
    """A machine config edited with talosctl by somebody else."""
    return talos(
        name,
        of_talos(node, field, drift_class),
        inject=lambda world: world.edit_config(node, edit(world) if callable(edit) else edit),
        undo=lambda world: world.edit_config(node, back(world) if callable(back) else back),
    )


def address(world: World, name: str) -> str:
    return next(str(node.address) for node in world.spec().nodes if node.name == name)


def booted(image: Callable[[World], str]) -> Act:
    """Another installer image by hand, as `talosctl upgrade` does it."""

    def upgrade(world: World) -> None:
        world.upgrade(address(world, WORKER), image(world))
        world.talos_running(address(world, WORKER))

    return upgrade


def installer(world: World, *, version: str = "", plain: bool = False) -> str:
    spec = world.spec()
    home = "ghcr.io/siderolabs/installer" if plain else installer_image(spec).rpartition(":")[0]
    return f"{home}:{version or spec.versions.talos}"


def wiped(world: World) -> None:
    where = address(world, WORKER)
    world.talos.admin.call("reset", "--graceful=false", "--reboot", "--timeout=90s", node=where, deadline_s=120)


def joined_again(world: World) -> None:
    world.talos.join_nodes()
    # It registers a moment later, which must not undo what is injected next.
    world.until(lambda: not world.look(layers=[Layer.KUBERNETES]).findings, what="the node in Kubernetes")


def close_to_the_end(world: World) -> datetime:
    credential = read_kubeconfig(world.talos.workspace.kubeconfig.read_text())
    assert credential is not None
    return datetime.fromtimestamp(credential.expires.timestamp() - 5 * 86400, UTC)


TALOS = (
    configured(
        "a sysctl",
        WORKER,
        "v1alpha1.machine.sysctls.vm.swappiness",
        REPAIRABLE,
        {"machine": {"sysctls": {"vm.swappiness": "1"}}},
        {"machine": {"sysctls": None}},
    ),
    configured(
        "nameservers of a control plane",
        CP,
        "v1alpha1.machine.network.nameservers[[]1]",
        DANGEROUS,
        lambda world: {"machine": {"network": {"nameservers": [f"{world.project.net}.1.1", "9.9.9.9"]}}},
        lambda world: {"machine": {"network": {"nameservers": [f"{world.project.net}.1.1"]}}},
    ),
    configured(
        "a label of a node",
        WORKER,
        "v1alpha1.machine.nodeLabels.infraflux.io/pool",
        REPAIRABLE,
        {"machine": {"nodeLabels": {"infraflux.io/pool": "gpu"}}},
        {"machine": {"nodeLabels": {"infraflux.io/pool": "worker"}}},
    ),
    talos(
        "another Talos version",
        of_talos(WORKER, "version", DANGEROUS),
        inject=booted(lambda world: installer(world, version="v1.13.8")),
        undo=booted(installer),
    ),
    talos(
        "an extension missing",
        of_talos(WORKER, "extensions", DANGEROUS),
        inject=booted(lambda world: installer(world, plain=True)),
        undo=booted(installer),
    ),
    talos(
        "certificates about to end",
        of_talos("kubeconfig", "certificate", REPAIRABLE),
        of_talos("talosconfig", "certificate", REPAIRABLE),
        inject=nothing,
        undo=nothing,
        now=close_to_the_end,
    ),
    talos(
        "a node back in maintenance",
        of_talos(WORKER, "state", REPAIRABLE),
        inject=wiped,
        undo=joined_again,
        slow=True,
    ),
)
