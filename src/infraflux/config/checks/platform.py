"""Platform, GitOps, patches and policy of one cluster."""

from collections.abc import Iterator
from pathlib import Path as FilePath
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from infraflux.config.checks.finding import Finding, Subject, needs
from infraflux.config.models.policy import Window
from infraflux.config.models.talos import NodePatch, Patch
from infraflux.config.problems import Path
from infraflux.config.suggest import did_you_mean
from infraflux.config.windows import DAYS

COMPONENTS = FilePath("platform/infrastructure")
FIRST_INSTALL = ("cilium", "argocd")
PLATFORM_NAMESPACES = frozenset(
    {
        "argocd",
        "cert-manager",
        "cilium-secrets",
        "default",
        "kube-node-lease",
        "kube-public",
        "kube-system",
        "monitoring",
    }
)


@needs("platform")
def components_have_a_directory(subject: Subject) -> Iterator[Finding]:
    where = subject.root / COMPONENTS
    if not where.is_dir():
        return
    known = sorted(one.name for one in where.iterdir() if one.is_dir())
    for component in subject.spec.platform.components:
        if component.name not in known:
            wrong = f"there is no {COMPONENTS / component.name}"
            yield Finding(
                ("platform", "components", component.name, "name"), wrong, did_you_mean(component.name, known)
            )
        elif not (where / component.name / "component.yaml").is_file():
            wrong = f"{COMPONENTS / component.name} has no component.yaml, by which it is registered"
            yield Finding(("platform", "components", component.name, "name"), wrong, "add it, as docs/handoff.md shows")


@needs("platform")
def first_installs_are_enabled(subject: Subject) -> Iterator[Finding]:
    for name in FIRST_INSTALL:
        component = subject.spec.platform.component(name)
        if component is None:
            yield Finding(("platform", "components"), f"{name} is missing", "no cluster works without it: add it")
        elif not component.enabled:
            path = ("platform", "components", name, "enabled")
            yield Finding(path, f"{name} is disabled", "no cluster works without it: enable it")


@needs("gitops")
def applications_stay_out_of_platform_namespaces(subject: Subject) -> Iterator[Finding]:
    for index, namespace in enumerate(subject.spec.gitops.application.namespaces):
        if namespace in PLATFORM_NAMESPACES or namespace.startswith("kube-"):
            path = ("gitops", "application", "namespaces", index)
            yield Finding(
                path, f"{namespace!r} belongs to the platform", "a prefix of the applications' own is expected"
            )


@needs("talos", "node_pools", "network", "proxmox", "vm_id_start")
def node_patches_name_a_node(subject: Subject) -> Iterator[Finding]:
    try:
        names = [node.name for node in subject.spec.nodes]
    except ValueError:
        return
    for patch in subject.spec.talos.patches.node:
        if patch.node not in names:
            path = ("talos", "patches", "node", patch.name, "node")
            yield Finding(path, f"there is no node {patch.node!r}", did_you_mean(patch.node, names))


@needs("talos")
def patches_have_one_source_that_exists(subject: Subject) -> Iterator[Finding]:
    patches = subject.spec.talos.patches
    scopes: dict[str, tuple[Patch, ...] | tuple[NodePatch, ...]] = {
        "all": patches.all, "control_plane": patches.control_plane, "worker": patches.worker, "node": patches.node
    }  # fmt: skip
    for scope, found in scopes.items():
        for patch in found:
            path: Path = ("talos", "patches", scope, patch.name)
            if (patch.file is None) == (patch.content is None):
                yield Finding(path, "needs either file or content", "set exactly one of them")
            elif patch.file is not None:
                yield from _file_exists(subject.root, (*path, "file"), patch.file)


def _file_exists(root: FilePath, path: Path, name: str) -> Iterator[Finding]:
    file = root / name
    if not file.resolve().is_relative_to(root.resolve()):
        yield Finding(path, f"{name} is a link that leaves the repository", "a file below its root is expected")
    elif not file.is_file():
        yield Finding(path, f"there is no file {name}", "a path below the repository root is expected")


@needs("proxmox", "policy")
def the_api_is_reached_safely(subject: Subject) -> Iterator[Finding]:
    proxmox = subject.spec.proxmox
    if not proxmox.endpoint.startswith("https://"):
        wrong = f"{proxmox.endpoint} would send the token in the clear"
        yield Finding(
            ("proxmox", "endpoint"), wrong, proxmox.endpoint.replace("http://", "https://") + " would be right"
        )
    if proxmox.insecure and not subject.spec.policy.allow_insecure_tls:
        wrong = "the certificate would not be verified, which policy.allow_insecure_tls forbids"
        yield Finding(("proxmox", "insecure"), wrong, "set proxmox.ca_file instead")


@needs("policy")
def windows_can_open(subject: Subject) -> Iterator[Finding]:
    policy = subject.spec.policy
    given: list[tuple[Path, Window]] = [(("policy", "windows", one.name), one) for one in policy.windows]
    given += [(("policy", "promotion", "windows", one.name), one) for one in policy.promotion.windows]
    for path, window in given:
        for index, day in enumerate(window.days):
            if day not in DAYS:
                yield Finding((*path, "days", index), f"{day!r} is no day", did_you_mean(day, DAYS))
        if window.start == window.end:
            yield Finding(
                (*path, "end"), f"the window ends at {window.end}, when it starts", "a later time is expected"
            )
        try:
            ZoneInfo(window.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            yield Finding((*path, "timezone"), f"{window.timezone!r} is no time zone", "a name such as Europe/Berlin")


@needs("policy", "environment")
def an_environment_is_not_its_own_source(subject: Subject) -> Iterator[Finding]:
    source = subject.spec.policy.promotion.source
    if source == subject.spec.environment:
        yield Finding(("policy", "promotion", "source"), f"{source} would promote to itself", "another environment")
