"""Secrets that a cluster needs before its first sync, as Kubernetes Secrets: made from references at the last moment.

They go straight to the API server: never into Git, Terraform, a log or a file of ours. Three kinds: credentials of the
two repositories, secret zero (the one that opens all others), and Grafana's first password.
"""

import secrets as random
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from infraflux.adapters.kubernetes.client import Kubernetes
from infraflux.adapters.kubernetes.facts import Manifest, Ref
from infraflux.adapters.secrets.identity import create_identity
from infraflux.config.models import ClusterSpec
from infraflux.config.models.platform import GitRepository
from infraflux.config.secrets_ref import Secret
from infraflux.core.errors import ErrorClass, Permanent

Resolve = Callable[[str], Secret]
_PASSWORD_BYTES = 24
_SECRET_KEYS = frozenset({"sshPrivateKey", "password", "keys.txt", "credentials", "admin-password"})
"""The entries that are secret; the others say what they belong to."""


def sensitive_values(manifests: Sequence[Manifest]) -> Iterator[str]:
    """What of these Secrets must not appear in any output, plain and as the API server has it (pure)."""
    for manifest in manifests:
        for key, value in manifest["data"].items():
            if key in _SECRET_KEYS:
                yield value
                yield b64decode(value).decode()


def collect(
    spec: ClusterSpec, *, resolve: Resolve, kubernetes: Kubernetes, identity: Path, create: bool = True
) -> list[Manifest]:
    """Every Secret of the handoff that is to be delivered now.

    `identity` is where the age identity for this cluster's application secrets is kept (0600) when none is given; made
    there with `create`. Raises Permanent naming the reference that cannot be resolved, or that no identity is there.
    """
    wanted = [
        *_repository("platform", spec.gitops.platform, resolve),
        *(_repository("application", spec.gitops.application, resolve) if spec.gitops.application.enabled else ()),
        *_secret_zero(spec, resolve=resolve, identity=identity, create=create),
    ]
    return wanted + _grafana(spec, kubernetes)


def _repository(name: str, repository: GitRepository, resolve: Resolve) -> list[Manifest]:
    if repository.credentials is None:
        return []
    text = resolve(repository.credentials).reveal()
    data = {"type": "git", "url": repository.url}
    if "PRIVATE KEY" in text:
        data["sshPrivateKey"] = text + "\n"
    elif ":" in text:
        data["username"], data["password"] = text.split(":", 1)
    else:
        raise Permanent(
            f"{repository.credentials} is neither `user:password` nor a private SSH key",
            stage="handoff",
            error_class=ErrorClass.CONFIG,
            next_step=f"put the credentials of {repository.url} there in one of the two forms",
        )
    labels = {"argocd.argoproj.io/secret-type": "repository"}
    return [_secret(f"repository-{name}", namespace="argocd", data=data, labels=labels)]


def _secret_zero(spec: ClusterSpec, *, resolve: Resolve, identity: Path, create: bool) -> list[Manifest]:
    reference = spec.gitops.secret_zero
    match spec.gitops.secret_management:
        case "sops-age":
            text = resolve(reference).reveal() if reference else _own_identity(identity, create=create)
            return [_secret("sops-age", namespace="argocd", data={"keys.txt": text})]
        case "external-secrets":
            if reference is None:
                raise Permanent(
                    "secret_management is external-secrets, but gitops.secret_zero names no provider credentials",
                    stage="handoff",
                    error_class=ErrorClass.CONFIG,
                    next_step="set gitops.secret_zero to a reference such as env:PROVIDER_TOKEN",
                )
            data = {"credentials": resolve(reference).reveal()}
            return [_secret("provider-credentials", namespace="external-secrets", data=data)]
        case _:
            return []


def _own_identity(path: Path, *, create: bool) -> str:
    if not path.exists():
        if not create:
            raise Permanent(
                "the age identity of this cluster's applications is not on this machine",
                stage="handoff",
                next_step="bring it from where the cluster was deployed, or name it in gitops.secret_zero",
            )
        create_identity(path)
    return path.read_text()


def _grafana(spec: ClusterSpec, kubernetes: Kubernetes) -> list[Manifest]:
    """Drawn once and kept only in the cluster; a later handoff leaves it alone."""
    if not spec.platform.runs("monitoring"):
        return []
    ref = Ref(api_version="v1", kind="Secret", namespace="monitoring", name="grafana-admin")
    if kubernetes.read(ref) is not None:
        return []
    data = {"admin-user": "admin", "admin-password": random.token_urlsafe(_PASSWORD_BYTES)}
    return [_secret("grafana-admin", namespace="monitoring", data=data)]


def _secret(name: str, *, namespace: str, data: dict[str, str], labels: dict[str, str] | None = None) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"infraflux.io/owner": "infraflux", **(labels or {})},
        },
        "data": {key: b64encode(value.encode()).decode() for key, value in data.items()},
    }
