"""Making the one plan of a run: look at everything side by side, decide in a pure function, keep what the executors
need."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from infraflux.adapters.argocd.facts import ROOT, Application
from infraflux.adapters.git_repo import GitRepo
from infraflux.adapters.kubernetes.facts import Manifest
from infraflux.adapters.talos.configs import MachineConfigs
from infraflux.adapters.talos.documents import diff_configs
from infraflux.adapters.talos.facts import EtcdSeen, NodeSeen, NodeState, SystemImage
from infraflux.adapters.talos.seen import look_at_etcd, read_image
from infraflux.adapters.talos.talosctl import TALOS_ERRORS
from infraflux.config.models import ClusterSpec, Node
from infraflux.core.errors import InfrafluxError, Permanent
from infraflux.core.files import write_private
from infraflux.core.outcomes import Done, Outcome
from infraflux.core.workdir import private_workdir
from infraflux.operations.bootstrap import LOOKS_AT_ONCE, TalosCluster
from infraflux.operations.bootstrap_manifests import look_at_manifests
from infraflux.operations.handoff_secrets import sensitive_values
from infraflux.operations.installer import MARKERS, PLATFORM_OUTPUT, Bundle
from infraflux.operations.machine_configs import require_valid
from infraflux.operations.machines import MachinesPlan, Preflight
from infraflux.operations.maintenance import in_maintenance
from infraflux.operations.opening import OpenCluster
from infraflux.operations.plan.actions import ClusterPlan, GitChange
from infraflux.operations.plan.decide import plan_cluster
from infraflux.operations.plan.kubernetes import with_running_versions
from infraflux.operations.plan.leaving import leavers
from infraflux.operations.plan.observed import Observed, PlatformSeen, Wanted
from infraflux.operations.platform import Platform
from infraflux.operations.removed_apis import look_at_removed_apis
from infraflux.operations.sources import source_trees


class Planned:
    """A plan, and what its executors need of the looks that it was made of.

    No dataclass: orchestrators look into those, field by field, wherever one is handed on.
    """

    def __init__(
        self,
        *,
        plan: ClusterPlan,
        machines: MachinesPlan | None,
        seen: Observed,
        named: frozenset[str] = frozenset(),
    ) -> None:
        self.plan = plan
        self.machines = machines
        """None where no machine is planned at all."""
        self.seen = seen
        self.named = named
        """Nodes that somebody asked for by name, whose machines may end; their data disks may not."""

    def __str__(self) -> str:
        return str(self.plan)


def make_plan(
    opened: OpenCluster, *, preflight: Preflight | None = None, replaced: frozenset[str] = frozenset()
) -> Planned:
    """Look at machines, nodes and platform side by side, and decide. Changes nothing.

    Machines of `replaced` nodes are made anew, whether or not anything about them differs.

    Raises what a part of it raises that cannot be looked at: Terraform, Proxmox, a node that is not ours.
    """
    if preflight is None:
        require_valid(opened.spec, root=opened.tree, tree=opened.fleet.trees[opened.spec.key], log=opened.log)
    seen = preflight or opened.machines.preflight()
    present = {guest.vm_id for guest in seen.observed.guests if opened.spec.ownership_tag in guest.tags}
    made = [node for node in opened.spec.nodes if node.vm_id in present]
    with ThreadPoolExecutor(max_workers=3) as pool:
        nodes = pool.submit(look_at_nodes, opened, made)
        platform = pool.submit(_look_at_platform, opened) if made else _nothing()
        hardware = pool.submit(opened.machines.hardware, seen.observed.guests)
        machines = opened.machines.plan(preflight=seen, replaced=replaced)
        talos, kubernetes = nodes.result(), platform.result()
    if seen_platform := kubernetes.get("platform"):
        kubernetes["platform"] = _with_planned_objects(opened, machines, seen_platform)
    talos["nodes"] = {**talos.get("nodes", {}), **_look_at_leavers(opened, machines, talos)}
    observed = Observed(
        shared=machines.shared.summary,
        machines=machines.cluster.summary,
        warnings=machines.warnings,
        hardware=hardware.result(),
        maintenance=in_maintenance(opened.state),
        **talos,
        **kubernetes,
    )
    plan = plan_cluster(opened.spec, _wanted(opened, machines), observed)
    return Planned(plan=plan, machines=machines, seen=observed, named=replaced)


def require_allowed(opened: OpenCluster, planned: Planned, *, today: date) -> None:
    """Raises DestructionRefused with everything that the environment's policy forbids by name."""
    if planned.machines is not None:
        opened.machines.guard(planned.machines, today=today, named=planned.named)


def _nothing() -> Future[dict[str, Any]]:
    made: Future[dict[str, Any]] = Future()
    made.set_result({})
    return made


# What is wanted


def wanted_nodes(opened: OpenCluster) -> Wanted:
    """What the configuration makes of the nodes, and nothing of the platform."""
    talos = opened.talos
    made = talos.workspace.configs if talos.workspace.has_bundle else MachineConfigs({})
    fingerprints = {node.name: _fingerprint(talos, node) for node in opened.spec.nodes}
    return Wanted(configs=made.by_node, secrets=made.secrets, fingerprints=fingerprints, components={}, handoff=())


def _wanted(opened: OpenCluster, machines: MachinesPlan) -> Wanted:
    spec = opened.spec
    return replace(
        wanted_nodes(opened),
        components=_component_fingerprints(spec, source_trees(spec, root=opened.root, tree=opened.tree) / "platform"),
        handoff=tuple(_names(_manifests(machines.cluster.summary.planned_outputs))),
    )


def _fingerprint(talos: TalosCluster, node: Node) -> str:
    """Of what a node's config is made of beside the secrets (pure)."""
    patches, versions = talos.workspace.patches, talos.spec.versions
    parts = [patches.all, patches.for_role(node.role), patches.node[node.name], versions.talos, versions.kubernetes]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _component_fingerprints(spec: ClusterSpec, platform: Path) -> dict[str, str]:
    """Of the files and settings that each first install reads, beside the values that Terraform computes."""
    kinds = sorted(platform.glob("infrastructure/*/component.yaml"))  # Argo CD's brings the CRDs of every component
    found = {}
    for name in MARKERS:
        digest = hashlib.sha256(spec.platform.model_dump_json().encode())
        own = sorted(path for path in (platform / "infrastructure" / name).rglob("*") if path.is_file())
        for path in (*(kinds if name == "argocd" else ()), *own):
            content = path.read_bytes()
            digest.update(f"\n{path.relative_to(platform)} {len(content)}\n".encode() + content)
        found[name] = digest.hexdigest()
    return found


def _manifests(outputs: Mapping[str, Any] | None) -> Sequence[Manifest]:
    try:
        return Bundle.from_outputs(outputs or {}).manifests
    except Permanent:
        return ()


def _names(manifests: Iterable[Manifest]) -> Iterator[str]:
    for one in manifests:
        where = one["metadata"].get("namespace")
        yield f"{one['kind']} {where + '/' if where else ''}{one['metadata']['name']}"


# Nodes


def look_at_nodes(opened: OpenCluster, made: Sequence[Node], *, reboots: bool = True) -> dict[str, Any]:
    """The Talos part of `Observed`: every node whose machine exists, and etcd.

    `reboots`: whether Talos is asked what another config would do to a node.
    """
    talos = opened.talos
    has_secrets, marker = talos.workspace.has_bundle, talos.workspace.read_marker()
    base = {"has_secrets": has_secrets, "marker": marker}
    if not has_secrets:
        # Without secrets nobody can have configured a node; the machines may be there from an interrupted run.
        return base
    admin = talos.admin  # makes the talosconfig once, before several threads ask with it
    configs = talos.workspace.configs.by_node
    with ThreadPoolExecutor(max_workers=LOOKS_AT_ONCE) as pool:
        etcd: Future[EtcdSeen | None] = pool.submit(look_at_etcd, _planes(made, opened.spec), admin=admin)
        nodes = {one.name: one for one in pool.map(lambda node: talos.look(node, wanted=configs[node.name]), made)}
        running = [node for node in made if nodes[node.name].state is NodeState.RUNNING]
        images = dict(pool.map(lambda node: (node.name, _image(talos, nodes[node.name])), running))
        wanted = {node.name: with_running_versions(configs[node.name], nodes[node.name].config) for node in running}
        differing = [node for node in running if diff_configs(wanted[node.name], nodes[node.name].config)]
        asked = differing if reboots else ()
        answers = dict(pool.map(lambda node: (node.name, _reboots(talos, node, wanted[node.name])), asked))
        return {**base, "nodes": nodes, "images": images, "reboots": answers, "etcd": etcd.result()}


def _image(talos: TalosCluster, seen: NodeSeen) -> SystemImage:
    return read_image(talos.admin, address=seen.address, version=seen.version)


def _look_at_leavers(opened: OpenCluster, machines: MachinesPlan, talos: Mapping[str, Any]) -> dict[str, NodeSeen]:
    """Nodes that are declared no more, before their machines end."""
    known = talos.get("nodes", {})
    if not talos["has_secrets"]:
        return {}
    out = [one for one in leavers(machines.cluster.summary.changes) if one.name not in known and one.address]
    return {one.name: opened.talos.look(one) for one in out}


def _planes(made: Sequence[Node], spec: ClusterSpec) -> list[Node]:
    return [node for node in made if node in spec.control_planes]


def _reboots(talos: TalosCluster, node: Node, wanted: str) -> bool:
    """Talos' own answer; a config that it refuses is said by the run that gives it, with Talos' words."""
    with private_workdir(talos.workspace.directory) as work:
        path = write_private(work / "config.yaml", wanted)
        try:
            return talos.admin.needs_reboot(path, node=str(node.address))
        except TALOS_ERRORS as error:
            raise talos.refused(node, error) from error


# Platform


def _look_at_platform(opened: OpenCluster) -> dict[str, Any]:
    """The Kubernetes part of `Observed`; why it could not be looked at, where it could not."""
    if not opened.reachable:
        return {}
    try:
        platform = opened.platform()
        return {"platform": _platform_seen(opened, platform)}
    except InfrafluxError as error:
        return {"no_platform": f"decided when it can be looked at ({error.message})"}


def _platform_seen(opened: OpenCluster, platform: Platform) -> PlatformSeen:
    installer = platform.installer
    nodes = {one["metadata"]["name"]: one for one in platform.kubernetes.list_objects("v1", "Node")}
    versions = {**look_at_removed_apis(opened, nodes), **look_at_manifests(opened.talos, platform.kubernetes)}
    installs: dict[str, Outcome] = {
        "cilium": installer.install_cilium(dry_run=True),
        "argocd": installer.install_argocd(dry_run=True),
    }
    if any(isinstance(one, Done) for one in installs.values()):
        names = _names(installer.bundle.manifests)
        return PlatformSeen(
            installs=installs, handoff={name: Done("applied") for name in names}, nodes=nodes, **versions
        )
    return PlatformSeen(
        installs=installs,
        handoff=_handoff(opened, platform, installer.bundle.manifests),
        nodes=nodes,
        from_git=tuple(_from_git(opened, installer.argocd.read())),
        **versions,
    )


def _with_planned_objects(opened: OpenCluster, machines: MachinesPlan, seen: PlatformSeen) -> PlatformSeen:
    """The objects of the handoff as this plan computes them, where that is not as the last apply left them."""
    summary = machines.cluster.summary
    if PLATFORM_OUTPUT not in summary.outputs:
        return seen
    if any(isinstance(one, Done) for one in seen.installs.values()):
        # There is nothing yet to try them on: not even the namespaces that they go into.
        return seen
    if manifests := _manifests(summary.planned_outputs):
        return replace(seen, handoff=_handoff(opened, opened.platform(), manifests))
    # Known only after the apply: each may change.
    return replace(seen, handoff={name: Done("applied as it is computed then") for name in seen.handoff})


def _handoff(opened: OpenCluster, platform: Platform, objects: Sequence[Manifest]) -> dict[str, Outcome]:
    """What applying each object would change, by a dry run; a Secret's values show nowhere."""
    secrets = platform.secrets(create=False)
    opened.learn(frozenset(sensitive_values(secrets)))
    manifests = [*secrets, *objects]
    outcomes = (platform.kubernetes.apply(one, dry_run=True, force=True) for one in manifests)
    return dict(zip(_names(manifests), outcomes, strict=True))


def _from_git(opened: OpenCluster, applications: Sequence[Application]) -> Iterator[GitChange]:
    """Per component, how many of its files differ from what Argo CD synced last."""
    before = next((one.revision for one in applications if one.name == ROOT), "")
    commit = opened.content_commit
    if not (before and commit) or before == commit or opened.spec.release is not None:
        return
    try:
        changed = GitRepo(opened.root).changed_between(before, commit, "platform")
    except Permanent:
        yield GitChange(component="platform", change=f"Argo CD synced {before[:12]}, which this checkout does not have")
        return
    components = [_component(Path(name)) for name in changed]
    for component in dict.fromkeys(components):
        count = components.count(component)
        yield GitChange(component=component, change=f"{count} file(s) differ between {before[:12]} and {commit[:12]}")


def _component(path: Path) -> str:
    """`platform/infrastructure/cilium/base/values.yaml` -> `cilium` (pure)."""
    return path.parts[2] if len(path.parts) > 3 and path.parts[1] == "infrastructure" else path.parts[1]
