"""Platform components and the handoff to Git."""

from typing import Annotated, Any

from pydantic import Field

from infraflux.config import patterns
from infraflux.config.models.base import (
    ChartVersion,
    GitUrl,
    LabelKey,
    Name,
    NodeName,
    RepoPath,
    SecretRef,
    Section,
    Text,
    Url,
)


class Component(Section):
    """One directory below `platform/infrastructure/`."""

    name: Name
    enabled: bool = True
    """Whether it is installed."""
    version: ChartVersion
    """Version of its chart."""
    repository: Url | None = None
    """Chart repository; the platform's `chart_repository`, else the component's own upstream, where it is not given."""
    values: dict[str, Any] = {}
    """Helm values of this cluster, merged over the component's base and environment values."""


class Gateway(Section):
    """The shared Gateway `platform`, below the cluster's domain."""

    enabled: bool = True
    """Whether the cluster has it."""
    manifests: tuple[Url, ...] = ()
    """Where Talos fetches the CRDs of the Gateway API: a release's `standard-install.yaml`. Empty: something else
    brings them before Cilium."""
    tls_hosts: tuple[Annotated[str, Field(pattern=patterns.TLS_HOST.regex)], ...] = ()
    """Host names below the domain that get HTTPS: `shop`, or `*` where the issuer can sign wildcards (dev's own CA
    can, ACME over HTTP-01 cannot)."""


class Platform(Section):
    """What every cluster carries below its applications."""

    gateway: Gateway = Gateway()
    chart_repository: Url | None = None
    """One repository that mirrors every chart; unset: each component's upstream."""
    components: tuple[Component, ...]
    """What runs on the cluster below the applications."""

    def component(self, name: str) -> Component | None:
        return next((one for one in self.components if one.name == name), None)

    def runs(self, name: str) -> bool:
        """Whether the configuration names the component and has it on."""
        component = self.component(name)
        return component is not None and component.enabled


class GitRepository(Section):
    """One repository that Argo CD follows."""

    url: GitUrl
    """Where it is."""
    revision: str = Field(default="main", pattern=patterns.REVISION.regex)
    """Branch, tag or commit that Argo CD follows."""
    path: RepoPath = "."
    """Where its manifests are."""
    credentials: SecretRef | None = None
    """`user:password` or a private SSH key; delivered to Argo CD before the first sync, never in Git."""


class ApplicationRepository(GitRepository):
    name: NodeName = "platform-north-star"
    """Name of its Argo CD project and Application."""
    namespaces: tuple[NodeName, ...] = Field(default=("apps",), min_length=1)
    """Namespace prefixes applications may use; platform namespaces are always refused."""
    enabled: bool = True
    """Whether it is handed the cluster."""


class GitOps(Section):
    """What Argo CD reads, and what it may touch."""

    platform: GitRepository
    """The repository with `platform/`."""
    application: ApplicationRepository
    """The repository with the applications."""
    admin_enabled: bool = False
    """Argo CD's built-in admin user."""
    secret_management: str = Field(default="sops-age", pattern=patterns.SECRET_MANAGEMENT.regex)
    """How secrets get from Git into the cluster."""
    secret_zero: SecretRef | None = None
    """The one secret that opens the others, delivered before the first sync: with `sops-age` the age identity for
    application secrets (made once for the cluster where it is not given; never the one of the Talos bundles), with
    `external-secrets` the provider's credentials."""
    facts: dict[LabelKey, Text] = {}
    """Extra annotations on the cluster Secret, readable by every ApplicationSet."""
