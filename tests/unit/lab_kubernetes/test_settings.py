import copy
from typing import Any

import pytest

from infraflux_lab.kubernetes.settings import SettingsError, read_settings


def test_reads_what_a_control_plane_needs(config: dict[str, Any]) -> None:
    settings = read_settings(config)

    assert settings.name == "dev-1"
    assert settings.endpoint_host == "127.78.1.10"
    assert settings.pod_subnets == ("10.1.0.0/16",)
    assert settings.images == {"kube-apiserver": "registry.k8s.io/kube-apiserver:v1.36.3"}
    assert settings.ca.key.startswith(b"-----BEGIN EC PRIVATE KEY-----")
    assert settings.encryption is not None
    assert settings.encryption.provider == "secretbox"
    assert not settings.schedulable_control_planes


@pytest.mark.parametrize(
    ("path", "named"),
    [
        (("cluster",), "cluster:"),
        (("cluster", "ca"), "cluster.ca:"),
        (("cluster", "ca", "key"), "cluster.ca.key:"),
        (("cluster", "etcd", "ca", "crt"), "cluster.etcd.ca.crt:"),
        (("cluster", "aggregatorCA"), "cluster.aggregatorCA:"),
        (("cluster", "serviceAccount", "key"), "cluster.serviceAccount.key:"),
        (("cluster", "token"), "cluster.token:"),
        (("cluster", "controlPlane", "endpoint"), "cluster.controlPlane.endpoint:"),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_names_what_is_missing(config: dict[str, Any], path: tuple[str, ...], named: str) -> None:
    broken = copy.deepcopy(config)
    section = broken
    for key in path[:-1]:
        section = section[key]
    del section[path[-1]]

    with pytest.raises(SettingsError, match=named):
        read_settings(broken)


def test_an_undecodable_key_is_named_and_not_shown(config: dict[str, Any]) -> None:
    broken = copy.deepcopy(config)
    broken["cluster"]["ca"]["key"] = "CANARY not base64"

    with pytest.raises(SettingsError, match=r"cluster\.ca\.key: not base64") as caught:
        read_settings(broken)

    assert "CANARY" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_secrets_are_not_in_any_repr(config: dict[str, Any]) -> None:
    settings = read_settings(config)

    shown = repr(settings) + repr(settings.ca) + repr(settings.encryption)

    assert "PRIVATE" not in shown
    assert config["cluster"]["secretboxEncryptionSecret"] not in shown
    assert "0123456789abcdef" not in shown


def test_a_config_older_than_secretbox(config: dict[str, Any]) -> None:
    old = copy.deepcopy(config)
    old["cluster"]["aescbcEncryptionSecret"] = old["cluster"].pop("secretboxEncryptionSecret")

    encryption = read_settings(old).encryption

    assert encryption is not None
    assert encryption.provider == "aescbc"
