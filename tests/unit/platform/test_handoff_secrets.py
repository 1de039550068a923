"""Secrets of the handoff come from references, in the two forms Argo CD reads, and are never shown."""

from base64 import b64decode

import pytest
from fakes.specs import make_spec

from infraflux.config.secrets_ref import Secret
from infraflux.core.errors import Permanent
from infraflux.operations import handoff_secrets

CANARY = "canary-5f1d"


class Cluster:
    """Has the objects it is told it has."""

    def __init__(self, *names):
        self.names = names

    def read(self, ref):
        return {} if ref.name in self.names else None


def collect(tmp_path, *, there=(), resolve=None, components=(), create=True, **gitops):
    urls = {"platform": {"url": "https://g/p.git"}, "application": {"url": "https://g/a.git"}}
    spec = make_spec(gitops=urls | gitops, platform={"components": list(components)})
    made = handoff_secrets.collect(
        spec,
        resolve=resolve or (lambda reference: Secret(reference, f"user:{CANARY}")),
        kubernetes=Cluster(*there),
        identity=tmp_path / "applications.age",
        create=create,
    )
    return {one["metadata"]["name"]: one for one in made}


def text(secret, key):
    return b64decode(secret["data"][key]).decode()


def test_repository_credentials_become_an_argo_repository(tmp_path):
    application = {"url": "https://g/a.git", "credentials": "env:GIT"}
    made = collect(tmp_path, application=application, secret_management="none")
    secret = made["repository-application"]
    assert secret["metadata"]["labels"]["argocd.argoproj.io/secret-type"] == "repository"
    assert (text(secret, "username"), text(secret, "password")) == ("user", CANARY)
    assert "repository-platform" not in made, "a public repository needs none"


def test_ssh_key_is_recognised(tmp_path):
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----"
    platform = {"url": "git@g:p.git", "credentials": "file:key"}
    made = collect(tmp_path, resolve=lambda ref: Secret(ref, key), platform=platform, secret_management="none")
    assert text(made["repository-platform"], "sshPrivateKey").startswith("-----BEGIN")


def test_other_credentials_are_refused_without_being_shown(tmp_path):
    platform = {"url": "https://g/p.git", "credentials": "env:GIT"}
    with pytest.raises(Permanent) as caught:
        collect(tmp_path, resolve=lambda ref: Secret(ref, CANARY), platform=platform)
    assert "env:GIT" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_age_identity_is_made_once_and_private(tmp_path):
    first = text(collect(tmp_path)["sops-age"], "keys.txt")
    assert "AGE-SECRET-KEY-" in first
    assert text(collect(tmp_path)["sops-age"], "keys.txt") == first
    assert (tmp_path / "applications.age").stat().st_mode & 0o777 == 0o600


def test_who_only_looks_makes_no_identity(tmp_path):
    with pytest.raises(Permanent, match="not on this machine"):
        collect(tmp_path, create=False)
    assert list(tmp_path.iterdir()) == []
    made = collect(tmp_path)
    assert collect(tmp_path, create=False) == made


def test_external_secrets_need_a_reference(tmp_path):
    with pytest.raises(Permanent, match="secret_zero"):
        collect(tmp_path, secret_management="external-secrets")
    made = collect(tmp_path, secret_management="external-secrets", secret_zero="env:TOKEN")
    assert made["provider-credentials"]["metadata"]["namespace"] == "external-secrets"


def test_grafana_password_is_drawn_once_and_stays_in_the_cluster(tmp_path):
    monitoring = [{"name": "monitoring", "version": "88.5.3"}]
    first = collect(tmp_path, components=monitoring)["grafana-admin"]
    assert first["data"] != collect(tmp_path, components=monitoring)["grafana-admin"]["data"]
    assert "grafana-admin" not in collect(tmp_path, components=monitoring, there=["grafana-admin"])


def test_the_log_mask_is_told_the_secret_entries_only(tmp_path):
    application = {"url": "https://g/a.git", "credentials": "env:GIT"}
    made = collect(tmp_path, application=application, secret_management="sops-age")
    heard = set(handoff_secrets.sensitive_values(list(made.values())))
    assert CANARY in heard
    assert made["repository-application"]["data"]["password"] in heard
    assert (tmp_path / "applications.age").read_text() in heard
    assert not heard & {"https://g/a.git", "git", "user"}
