"""How a text becomes a machine configuration, and why one is refused.

What Talos refuses is asked of talosctl (`validation`). Here is what the emulator itself needs to be able to read one,
in Talos' words and with every problem at once: syntax, documents and keys, PKI, the control plane endpoint.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from cryptography import x509
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from infraflux_lab.certificates import load_key
from infraflux_lab.talos.machine_config import CONTROL_PLANE, WORKER, MachineConfig, mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TOP_KEYS = frozenset({"version", "debug", "persist", "machine", "cluster"})
_MACHINE_KEYS = _words(
    "type token ca acceptedCAs certSANs controlPlane kubelet pods network disks install files env time sysctls sysfs "
    "registries systemDiskEncryption features udev logging kernel seccompProfiles baseRuntimeSpecOverrides nodeLabels "
    "nodeAnnotations nodeTaints"
)
_CLUSTER_KEYS = _words(
    "id secret controlPlane clusterName network token aescbcEncryptionSecret secretboxEncryptionSecret ca acceptedCAs "
    "aggregatorCA serviceAccount apiServer controllerManager proxy scheduler discovery etcd coreDNS "
    "externalCloudProvider extraManifests extraManifestHeaders inlineManifests adminKubeconfig "
    "allowSchedulingOnMasters allowSchedulingOnControlPlanes"
)
_KINDS = _words(
    "BlackholeRouteConfig BondConfig BridgeConfig DHCPv4Config DHCPv6Config DummyLinkConfig EnvironmentConfig "
    "EthernetConfig EventSinkConfig ExistingVolumeConfig ExtensionServiceConfig ExternalVolumeConfig HCloudVIPConfig "
    "HostnameConfig ImageVerificationConfig KmsgLogConfig KubeSpanConfig KubeSpanEndpointsConfig Layer2VIPConfig "
    "LinkAliasConfig LinkConfig NetworkDefaultActionConfig NetworkRuleConfig OOMConfig RawVolumeConfig "
    "RegistryAuthConfig RegistryMirrorConfig RegistryTLSConfig ResolverConfig RoutingRuleConfig SideroLinkConfig "
    "StaticHostConfig SwapVolumeConfig TCPProbeConfig TimeSyncConfig TrustedRootsConfig UserVolumeConfig VLANConfig "
    "VRFConfig VolumeConfig WatchdogTimerConfig WireguardConfig ZswapConfig PCIDriverRebindConfig"
)


class ConfigError(ValueError):
    """The configuration is refused; the message lists every reason and never a value that could be secret."""


@lru_cache(maxsize=256)
def parse(data: bytes) -> MachineConfig:
    """Decode and validate; ConfigError lists everything that is wrong.

    Remembered, because a machine's configuration is read far more often than it changes.
    """
    config = MachineConfig(raw=data, documents=_decode(data))
    problems = _unknown_keys(config) or _problems(config)
    if problems:
        raise ConfigError(listing(problems))
    return config


def listing(problems: Sequence[str]) -> str:
    """Several errors as Go's multierror writes them."""
    head = "1 error occurred:" if len(problems) == 1 else f"{len(problems)} errors occurred:"
    return head + "\n" + "\n".join(f"\t* {problem}" for problem in problems)


def _decode(data: bytes) -> list[dict[str, Any]]:
    try:
        documents = [document for document in YAML(typ="safe", pure=True).load_all(data) if document is not None]
    except (YAMLError, UnicodeDecodeError, ValueError) as error:
        place = getattr(error, "problem_mark", None)
        line = f"line {place.line + 1}: " if place else ""
        raise ConfigError(f"decode error: yaml: {line}{getattr(error, 'problem', None) or 'not YAML'}") from None
    seen: set[tuple[str, str]] = set()
    for document in documents:
        _check_document(document, seen=seen)
    return documents


def _check_document(document: object, *, seen: set[tuple[str, str]]) -> None:
    if not isinstance(document, dict):
        raise ConfigError("decode error: expected a mapping in every document")
    kind = str(document.get("kind") or "v1alpha1")
    if "kind" in document and document.get("apiVersion") != "v1alpha1":
        raise ConfigError("missing apiVersion" if "apiVersion" not in document else f'unknown apiVersion for "{kind}"')
    if "kind" in document and kind not in _KINDS:
        raise ConfigError(f'error decoding document v1alpha1/{kind}/: "{kind}" "v1alpha1": not registered')
    if "kind" not in document and "version" not in document:
        raise ConfigError("missing kind")
    identity = (kind, str(document.get("name") or ""))
    if identity in seen:
        raise ConfigError(f"duplicate document v1alpha1/{identity[0]}/{identity[1]} is not allowed")
    seen.add(identity)


def _unknown_keys(config: MachineConfig) -> list[str]:
    found = [
        *(key for key in config.v1alpha1 if key not in _TOP_KEYS),
        *(f"machine.{key}" for key in config.machine if key not in _MACHINE_KEYS),
        *(f"cluster.{key}" for key in config.cluster if key not in _CLUSTER_KEYS),
    ]
    return [f"unknown keys found during decoding: {', '.join(found)}"] if found else []


def _problems(config: MachineConfig) -> list[str]:
    if not config.v1alpha1:
        return ["the applied machine configuration doesn't contain v1alpha1 config"]
    missing = [
        message
        for present, message in (
            (config.machine, "machine instructions are required"),
            (config.cluster, "cluster instructions are required"),
        )
        if not present
    ]
    if config.v1alpha1.get("version") != "v1alpha1":
        missing.append("invalid config version")
    return missing or [*_machine_problems(config), *_cluster_problems(config)]


def _machine_problems(config: MachineConfig) -> list[str]:
    problems: list[str] = []
    ca = mapping(config.machine.get("ca"))
    kind = config.machine.get("type")
    if kind not in (CONTROL_PLANE, WORKER, "init", "join"):
        problems.append(f'unknown machine type "{kind}"')
    if not ca and not config.machine.get("acceptedCAs"):
        return [*problems, "issuing CA or some accepted CAs are required (.machine.ca, machine.acceptedCAs)"]
    problems += _pki_problems(".machine.ca", ca)
    if config.control_plane:
        if not ca.get("crt"):
            problems.append("issuing CA is required (.machine.ca)")
        elif not ca.get("key"):
            problems.append("issuing CA key is required for controlplane nodes (.machine.ca.key)")
    elif ca.get("key"):
        problems.append("issuing Talos API CA key is not allowed on non-controlplane nodes (.machine.ca)")
    if not config.control_plane and config.vip:
        problems.append("virtual (shared) IP is not allowed on non-controlplane nodes")
    if not config.machine.get("token"):
        problems.append("trustd token is invalid (.machine.token)")
    return problems


def _cluster_problems(config: MachineConfig) -> list[str]:
    problems: list[str] = []
    if not config.endpoint:
        problems.append("cluster controlplane endpoint is required")
    elif not re.fullmatch(r"https://[^/:\s]+(:\d+)?/?", config.endpoint):
        problems.append("invalid controlplane endpoint")
    if not config.control_plane and config.cluster.get("etcd"):
        problems.append("etcd config is only allowed on control plane machines")
    ca = mapping(config.cluster.get("ca"))
    if not config.control_plane and ca.get("key"):
        problems.append("cluster CA key is not allowed on non-controlplane nodes (.cluster.ca)")
    problems += _pki_problems(".cluster.ca", ca)
    if config.control_plane:
        problems += _control_plane_pki_problems(config)
    return problems


def _control_plane_pki_problems(config: MachineConfig) -> list[str]:
    problems: list[str] = []
    sections = {
        ".cluster.ca": config.cluster.get("ca"),
        ".cluster.aggregatorCA": config.cluster.get("aggregatorCA"),
        ".cluster.etcd.ca": mapping(config.cluster.get("etcd")).get("ca"),
    }
    for place, section in sections.items():
        fields = mapping(section)
        if not fields.get("crt") or not fields.get("key"):
            problems.append(f"key/cert combination should not be empty ({place})")
        elif place != ".cluster.ca":
            problems += _pki_problems(place, fields)
    if not mapping(config.cluster.get("serviceAccount")).get("key"):
        problems.append("key/cert combination should not be empty (.cluster.serviceAccount)")
    return problems


def _pki_problems(place: str, fields: Mapping[str, Any]) -> list[str]:
    """Certificates must parse and keys must belong to them; the reason never shows the value."""
    if not fields.get("crt"):
        return []
    try:
        certificate = x509.load_pem_x509_certificate(base64.b64decode(str(fields["crt"]), validate=True))
    except (ValueError, binascii.Error):
        return [f"certificate is invalid ({place}.crt)"]
    if not fields.get("key"):
        return []
    try:
        key = load_key(base64.b64decode(str(fields["key"]), validate=True))
    except (ValueError, binascii.Error):
        return [f"key is invalid ({place}.key)"]
    return [] if key.public_key() == certificate.public_key() else [f"key does not belong to the certificate ({place})"]
