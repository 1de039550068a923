"""The platform side of one cluster, ready to install, hand over and be looked at."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from infraflux.adapters.argocd.client import ArgoCd
from infraflux.adapters.helm import Helm
from infraflux.adapters.kubernetes.client import Kubernetes
from infraflux.adapters.kubernetes.facts import Manifest, Ref
from infraflux.adapters.terraform.computed import compute_outputs
from infraflux.adapters.terraform.stack import Stack
from infraflux.adapters.terraform.workspace import Tool
from infraflux.adapters.tools.locate import locate, provider_mirror
from infraflux.config.models import ClusterSpec
from infraflux.config.secrets_ref import resolve
from infraflux.core.clock import SystemClock
from infraflux.core.errors import Permanent
from infraflux.core.paths import ProjectPaths
from infraflux.operations import handoff_secrets
from infraflux.operations.installer import Bundle, Installer
from infraflux.operations.machines import BACKEND_NAMES, place_of
from infraflux.operations.sources import source_trees
from infraflux.render.terraform import render_cluster, to_tfvars


@dataclass(frozen=True, kw_only=True)
class Platform:
    """One cluster's installer and the secrets it delivers."""

    installer: Installer
    kubernetes: Kubernetes
    root: Path

    def secrets(self, *, create: bool = True) -> list[Manifest]:
        """What is delivered before the first sync, resolved now. Raises Permanent naming an unusable reference.

        Without `create` nothing is made that is not there yet: for who only looks.
        """
        spec = self.installer.spec
        return handoff_secrets.collect(
            spec,
            resolve=partial(resolve, root=self.root),
            kubernetes=self.kubernetes,
            identity=ProjectPaths(self.root).cluster_state(spec.environment, spec.name) / "applications.age",
            create=create,
        )


def open_platform(
    spec: ClusterSpec,
    *,
    root: Path,
    tree: Path | None = None,
    outputs: Mapping[str, Any] | None = None,
    log: Callable[[str], None] = lambda _line: None,
) -> Platform:
    """Connects to nothing yet. `outputs` are those of the cluster's Terraform stack (default: read from its state).

    Raises Permanent where there is no kubeconfig or no output `platform`.
    """
    kubeconfig = ProjectPaths(root).kubeconfig(spec.environment, spec.name)
    if not kubeconfig.exists():
        raise Permanent(
            f"{spec.key} has no kubeconfig yet",
            cluster=spec.key,
            stage="platform",
            next_step=f"infraflux cluster bootstrap {spec.key}",
        )
    kubernetes = Kubernetes.from_kubeconfig(kubeconfig, cluster=spec.key)

    def forget_record(namespace: str, name: str) -> None:
        kubernetes.delete(Ref(api_version="v1", kind="Secret", namespace=namespace, name=name))

    installer = Installer(
        spec=spec,
        tree=source_trees(spec, root=root, tree=tree) / "platform",
        bundle=Bundle.from_outputs(read_outputs(spec, root=root) if outputs is None else outputs),
        kubernetes=kubernetes,
        helm=Helm(binary=locate("helm"), kubeconfig=kubeconfig, cluster=spec.key, forget_record=forget_record),
        argocd=ArgoCd(kubernetes, cluster=spec.key),
        clock=SystemClock(),
        log=log,
    )
    return Platform(installer=installer, kubernetes=kubernetes, root=root)


def read_outputs(spec: ClusterSpec, *, root: Path, environ: Mapping[str, str] | None = None) -> Mapping[str, Any]:
    """Outputs of the cluster's Terraform stack as its state has them, wherever the backend keeps it."""
    environ = os.environ if environ is None else environ
    place = place_of(spec, spec.name, root=root, trees=source_trees(spec, root=root))
    tool = Tool(binary=locate("terraform"), mirror=provider_mirror())
    backend = {name: value for name, value in environ.items() if name.startswith(BACKEND_NAMES)}
    head = Stack(place=place, tool=tool, label=spec.key, env=backend, secret_values=tuple(backend.values())).state()
    return head.outputs if head else {}


def computed_values(spec: ClusterSpec, *, root: Path) -> Mapping[str, Mapping[str, Any]]:
    """Helm values by component that Terraform computes for a cluster, as a plan would, without asking Proxmox."""
    trees = source_trees(spec, root=root)
    tool = Tool(binary=locate("terraform"), mirror=provider_mirror())
    variables = to_tfvars(render_cluster(spec))
    outputs = compute_outputs(variables, source=trees / "terraform", tool=tool, label=spec.key)
    return Bundle.from_outputs(outputs).values
