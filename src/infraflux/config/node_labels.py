"""Which labels a node may give itself: the API server's NodeRestriction refuses a kubelet all others.

https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
"""

_RESERVED = ("kubernetes.io", "k8s.io")
_KUBELET_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")
_KUBELET_LABELS = frozenset(
    {
        "kubernetes.io/hostname",
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/instance-type",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    }
)


def kubelet_may_set(key: str) -> bool:
    """Whether a kubelet may set this label on its own Node."""
    domain = key.rpartition("/")[0]
    if key in _KUBELET_LABELS or _within(domain, _KUBELET_DOMAINS):
        return True
    return not _within(domain, _RESERVED)


def _within(domain: str, domains: tuple[str, ...]) -> bool:
    return any(domain == one or domain.endswith(f".{one}") for one in domains)
