"""Platform components and the handoff to Git."""

from typing import Annotated, Any

from pydantic import Field

from infraflux.config.models.base import ChartVersion, GitUrl, LabelKey, Name, RepoPath, SecretRef, Section, Text, Url


class Component(Section):
    """One directory below `platform/infrastructure/`."""

    name: Name
    enabled: bool = True
    version: ChartVersion
    repository: Url | None = None
    """Chart repository; the platform's `chart_repository`, else the component's own upstream, where it is not given."""
    values: dict[str, Any] = {}
    """Helm values of this cluster, merged over the component's base and environment values."""


class Gateway(Section):
    """The shared Gateway `platform`, below the cluster's domain."""

    enabled: bool = True
    tls_hosts: tuple[Annotated[str, Field(pattern=r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$")], ...] = ()
    """Host names below the domain that get HTTPS: `shop`, or `*` where the issuer can sign wildcards (dev's own CA
    can, ACME over HTTP-01 cannot)."""


class Platform(Section):
    gateway: Gateway = Gateway()
    chart_repository: Url | None = None
    """One repository that mirrors every chart; unset: each component's upstream."""
    components: tuple[Component, ...]

    def component(self, name: str) -> Component | None:
        return next((one for one in self.components if one.name == name), None)


class GitRepository(Section):
    url: GitUrl
    revision: str = Field(default="main", pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")
    path: RepoPath = "."
    credentials: SecretRef | None = None
    """`user:password` or a private SSH key; delivered to Argo CD before the first sync, never in Git."""


class ApplicationRepository(GitRepository):
    name: Name = "platform-north-star"
    namespaces: tuple[Name, ...] = Field(default=("apps",), min_length=1)
    """Namespace prefixes applications may use; platform namespaces are always refused."""
    enabled: bool = True


class GitOps(Section):
    platform: GitRepository
    application: ApplicationRepository
    admin_enabled: bool = False
    """Argo CD's built-in admin user."""
    secret_management: str = Field(default="sops-age", pattern=r"^(sops-age|external-secrets|none)$")
    secret_zero: SecretRef | None = None
    """The one secret that opens the others, delivered before the first sync: with `sops-age` the age identity for
    application secrets (made once for the cluster where it is not given; never the one of the Talos bundles), with
    `external-secrets` the provider's credentials."""
    facts: dict[LabelKey, Text] = {}
    """Extra annotations on the cluster Secret, readable by every ApplicationSet."""
