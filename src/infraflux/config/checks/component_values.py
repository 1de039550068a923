"""Helm values of a cluster with which Cilium or Argo CD would never be there, or never be found.

Values: https://github.com/cilium/cilium/blob/v1.19.3/install/kubernetes/cilium/values.yaml and
https://github.com/argoproj/argo-helm/blob/argo-cd-10.1.1/charts/argo-cd/values.yaml
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from infraflux.config.checks.finding import Finding, Subject, needs
from infraflux.config.checks.patch_documents import Gone, is_false, is_true, value_at


@dataclass(frozen=True)
class Fatal:
    """One value that must not stand in a component's values."""

    component: str
    field: str
    is_fatal: Callable[[Any], bool]
    wrong: str
    right: str = "remove it"


def _is_zero(value: Any) -> bool:
    return value == 0 and not isinstance(value, bool)


def _is_another_name(value: Any) -> bool:
    return isinstance(value, str) and value not in ("", "argocd")


def _loads_modules(value: Any) -> bool:
    return isinstance(value, list) and "SYS_MODULE" in value


_NOT_FOUND = "InfraFlux and the platform look for Argo CD as argocd in the namespace argocd"
FATAL = (
    *(Fatal("cilium", field, is_false, "no node would get a network, and none would become ready")
      for field in ("agent", "cni.install", "ipv4.enabled", "operator.enabled")),
    Fatal("cilium", "operator.replicas", _is_zero, "no node would get a network, and none would become ready"),
    Fatal("cilium", "ipv6.enabled", is_true,
          "Cilium would wait for each node's IPv6 block, and network.pod_cidr has IPv4 alone"),
    Fatal("cilium", "securityContext.capabilities.ciliumAgent", _loads_modules,
          "Talos lets no workload load kernel modules: Cilium would not start with SYS_MODULE",
          "leave SYS_MODULE out (https://docs.siderolabs.com/kubernetes-guides/cni/deploying-cilium)"),
    Fatal("argocd", "crds.install", is_false, "nothing else brings the kinds Application and ApplicationSet"),
    *(Fatal("argocd", f"{part}.replicas", _is_zero, "Argo CD would bring nothing to the cluster")
      for part in ("controller", "repoServer", "server", "applicationSet")),
    *(Fatal("argocd", field, _is_another_name, _NOT_FOUND)
      for field in ("fullnameOverride", "nameOverride", "namespaceOverride")),
)  # fmt: skip


@needs("platform")
def first_installs_come_about(subject: Subject) -> Iterator[Finding]:
    for fatal in FATAL:
        component = subject.spec.platform.component(fatal.component)
        seen = value_at(component.values, fatal.field) if component is not None else Gone.ABSENT
        if not isinstance(seen, Gone) and fatal.is_fatal(seen):
            path = ("platform", "components", fatal.component, "values", *fatal.field.split("."))
            yield Finding(path, fatal.wrong, fatal.right)
