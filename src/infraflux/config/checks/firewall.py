"""A host firewall that is closed by a patch, and what InfraFlux and Kubernetes need of it all the same.

https://docs.siderolabs.com/talos/v1.13/networking/ingress-firewall; ports: Talos v1.13.9, pkg/machinery/constants.
"""

from collections.abc import Iterable, Iterator

from infraflux.config.checks.finding import Finding, Subject, needs
from infraflux.config.checks.machines import size_of
from infraflux.config.checks.patch_documents import PatchDocument, patch_documents, value_at
from infraflux.config.models import Role

APID, TRUSTD, ETCD, API = "50000 (Talos' API)", "50001 (trustd)", "2380 (etcd)", "6443 (the Kubernetes API)"


@needs("talos", "node_pools")
def a_closed_firewall_lets_the_cluster_through(subject: Subject) -> Iterator[Finding]:
    documents = list(patch_documents(subject.spec.talos.patches, subject.root))
    for closing in filter(_closes, documents):
        missing = dict.fromkeys(
            port
            for role in ("control_plane", "worker")
            if closing.scope in ("all", role)
            for port in _needed(subject, role)
            if not _is_open(port, role, documents)
        )
        if missing:
            wrong = f"the firewall would be closed for {', '.join(missing)}: no cluster would come about"
            yield closing.blame(wrong, "a NetworkRuleConfig that opens them for those who need them")


def _needed(subject: Subject, role: str) -> list[str]:
    if role == "worker":
        return [APID] if subject.spec.has_workers else []
    pools = [pool for pool in subject.spec.node_pools if pool.role is Role.CONTROL_PLANE]
    others = sum(size_of(pool) for pool in pools) > 1
    return [APID, API, *([ETCD] if others else []), *([TRUSTD] if subject.spec.has_workers else [])]


def _is_open(port: str, role: str, documents: Iterable[PatchDocument]) -> bool:
    """Whether any rule for these nodes opens it; a rule for one node counts for all: it is somebody's decision."""
    number = int(port.partition(" ")[0])
    own = (one for one in documents if one.scope in ("all", role, "node"))
    return any(first <= number <= last for one in own for first, last in _opened(one))


def _closes(patch: PatchDocument) -> bool:
    return patch.kind == "NetworkDefaultActionConfig" and patch.document.get("ingress") == "block"


def _opened(patch: PatchDocument) -> Iterator[tuple[int, int]]:
    """The TCP ports of a rule, first and last."""
    if patch.kind != "NetworkRuleConfig" or value_at(patch.document, "portSelector.protocol") != "tcp":
        return
    ports = value_at(patch.document, "portSelector.ports")
    for one in ports if isinstance(ports, list) else ():
        first, _, last = str(one).partition("-")
        if first.isdigit() and (last or first).isdigit():
            yield int(first), int(last or first)
