"""Real Argo CD for one lab cluster: its controllers as processes, in place of the pods kwok only pretends to run.

Command lines and environments are pure functions; which of the programs run is decided by which of their workloads
exist in the cluster, see `workloads.py`.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infraflux.core.files import make_private_dir
from infraflux_lab.kubernetes.programs import GC_PERCENT, ProcessSpec

NAMESPACE = "argocd"
PROGRAMS = ("argocd", "helm", "kustomize")
EXTRAS = ("sops",)
"""Not needed to sync: what a plugin of the repo server calls."""
CMP_SERVER = "argocd-cmp-server"
REDIS_PORT = 6379
REPO_SERVER_PORT = 8081
# On the cluster's own address these collide with nothing.
_REPO_SERVER_METRICS, _APPLICATION_SET_METRICS = 8084, 8085
_APPLICATION_SET_PROBES, _APPLICATION_SET_WEBHOOK = 8086, 7000

# Kubernetes workload whose presence starts a program: (resource, name) -> program.
WORKLOADS: Mapping[tuple[str, str], str] = {
    ("deployments", "argocd-repo-server"): "argocd-repo-server",
    ("statefulsets", "argocd-application-controller"): "argocd-application-controller",
    ("deployments", "argocd-applicationset-controller"): "argocd-applicationset-controller",
}
# Soft heap limits in MiB.
MEMORY_LIMIT_MIB: Mapping[str, int] = {
    "argocd-repo-server": 128,
    "argocd-application-controller": 192,
    "argocd-applicationset-controller": 96,
}
# argocd-cmd-params-cm: prefix of a key -> prefix of the environment variable the real pod gets from it.
_PARAMETER_PREFIXES: Mapping[str, Mapping[str, str]] = {
    "argocd-repo-server": {"reposerver.": "ARGOCD_REPO_SERVER_"},
    "argocd-application-controller": {
        "controller.": "ARGOCD_APPLICATION_CONTROLLER_",
        # A whole key: its variable does not follow the prefix.
        "controller.sync.wave.delay.seconds": "ARGOCD_SYNC_WAVE_DELAY",
    },
    "argocd-applicationset-controller": {"applicationsetcontroller.": "ARGOCD_APPLICATIONSET_CONTROLLER_"},
}
# What the lab says itself: addresses, and ways of talking to each other.
_PARAMETERS_OF_THE_LAB = (".tls", ".address", ".port", ".listen", ".metrics", ".replicas", ".redis")
_VERIFY_WRAPPER = """#!/bin/sh
# Argo CD asks for the signature of a revision; that there is none is an answer, not a failure.
git verify-commit "$1" 2>&1 || true
"""


@dataclass(frozen=True, kw_only=True)
class ArgoFacts:
    """What the cluster's own ConfigMaps say."""

    parameters: Mapping[str, str]
    """argocd-cmd-params-cm."""
    settings: Mapping[str, str]
    """argocd-cm."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the program's own container says under `env`."""


@dataclass(frozen=True, kw_only=True)
class ArgoSite:
    """Where one cluster's Argo CD runs."""

    root: Path
    home: str
    kubeconfig: Path
    binaries: Mapping[str, Path]
    """`argocd`, `helm`, `kustomize`, and `sops` where it is there."""

    @property
    def missing(self) -> list[str]:
        """Programs that are not installed."""
        return [name for name in PROGRAMS if name not in self.binaries]

    @property
    def redis(self) -> str:
        """Address of the cache."""
        return f"{self.home}:{REDIS_PORT}"

    @property
    def repo_server(self) -> str:
        """Address of the repo server."""
        return f"{self.home}:{REPO_SERVER_PORT}"

    @property
    def sockets(self) -> Path:
        """A short directory: the name of a Unix socket holds about 100 bytes, a state directory may be longer."""
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"infraflux-argocd-{os.getuid()}-{digest}"

    @property
    def plugin_sockets(self) -> Path:
        """Where plugins listen and the repo server finds them."""
        return self.sockets / "plugins"

    @property
    def plugins(self) -> Path:
        """What the pods of plugins would have mounted."""
        return self.root / "plugins"

    @property
    def bin(self) -> Path:
        """Programs the repo server calls, and Argo CD under the names of its roles."""
        return self.root / "bin"


def container_variables(container: Mapping[str, Any]) -> dict[str, str]:
    """What a container is told literally."""
    return {one["name"]: one["value"] for one in container.get("env") or () if "value" in one}


def prepare(site: ArgoSite) -> None:
    """Make the directories and links; a repeated call changes nothing. Caches of the last run are dropped."""
    for name in ("tmp", "plugins"):
        shutil.rmtree(site.root / name, ignore_errors=True)
    for name in ("bin", "tmp", "tls", "ssh", "gpg", "gnupg", "plugins", ".kube"):
        make_private_dir(site.root / name)
    _link(site.root / ".kube" / "config", site.kubeconfig)
    for directory in (site.sockets, site.plugin_sockets):
        make_private_dir(directory)
    # `argocd` itself hands a repository's credential to Git.
    for name in ("argocd", CMP_SERVER, *WORKLOADS.values()):
        _link(site.bin / name, site.binaries["argocd"])
    for tool in ("helm", "kustomize", *EXTRAS):
        if tool in site.binaries:
            _link(site.bin / tool, site.binaries[tool])
    wrapper = site.bin / "git-verify-wrapper.sh"
    wrapper.write_text(_VERIFY_WRAPPER)
    wrapper.chmod(0o700)


def program(name: str, site: ArgoSite, facts: ArgoFacts) -> ProcessSpec:
    """One of Argo CD's programs, ready to run."""
    return ProcessSpec(
        name=name,
        argv=[str(site.bin / name), *_FLAGS[name](site)],
        environment=environment(name, site, facts),
    )


def environment(name: str, site: ArgoSite, facts: ArgoFacts) -> dict[str, str]:
    """The variables the real pod would get, and those that keep the program inside its own directory."""
    variables = {
        "PATH": f"{site.bin}{os.pathsep}/usr/local/bin:/usr/bin:/bin",
        "HOME": str(site.root),
        "TMPDIR": str(site.root / "tmp"),
        "GOMEMLIMIT": f"{MEMORY_LIMIT_MIB[name]}MiB",
        "GOGC": str(GC_PERCENT),
        # `https://kubernetes.default.svc` then means the server of ~/.kube/config, which `prepare` links.
        "ARGOCD_FAKE_IN_CLUSTER": "true",
        # The ApplicationSet controller looks here alone, whatever its flag says.
        "KUBECONFIG": str(site.kubeconfig),
        "ARGOCD_TLS_DATA_PATH": str(site.root / "tls"),
        "ARGOCD_SSH_DATA_PATH": str(site.root / "ssh"),
        "ARGOCD_GPG_DATA_PATH": str(site.root / "gpg"),
        "ARGOCD_GNUPGHOME": str(site.root / "gnupg"),
        "ARGOCD_GPG_ENABLED": "false",
        # Else all clusters would share one socket in /tmp.
        "ARGOCD_ASK_PASS_SOCK": str(site.sockets / "ask-pass.sock"),
        "ARGOCD_PLUGINSOCKFILEPATH": str(site.plugin_sockets),
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    said = _from_parameters(name, facts.parameters)
    for setting, variable in _SETTINGS.items():
        if setting in facts.settings:
            said[variable] = facts.settings[setting]
    # A container's own word is the last, but where things are only the lab knows.
    said |= {key: value for key, value in facts.variables.items() if key.startswith("ARGOCD_")}
    return {**said, **variables}


_SETTINGS = {
    "timeout.reconciliation": "ARGOCD_RECONCILIATION_TIMEOUT",
    "timeout.hard.reconciliation": "ARGOCD_HARD_RECONCILIATION_TIMEOUT",
    "timeout.reconciliation.jitter": "ARGOCD_RECONCILIATION_JITTER",
}


def _from_parameters(name: str, parameters: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for key, value in parameters.items():
        for prefix, variable in _PARAMETER_PREFIXES[name].items():
            rest = key.removeprefix(prefix)
            if rest != key and not any(word in f".{rest}" for word in _PARAMETERS_OF_THE_LAB):
                found[variable + rest.replace(".", "_").upper()] = value
    return found


def _repo_server(site: ArgoSite) -> list[str]:
    return [
        f"--redis={site.redis}",
        f"--address={site.home}",
        f"--port={REPO_SERVER_PORT}",
        f"--metrics-address={site.home}",
        f"--metrics-port={_REPO_SERVER_METRICS}",
        "--disable-tls",
        "--client-ca-path=",
        "--loglevel=warn",
    ]


def _application_controller(site: ArgoSite) -> list[str]:
    return [
        f"--kubeconfig={site.kubeconfig}",
        f"--namespace={NAMESPACE}",
        f"--redis={site.redis}",
        f"--repo-server={site.repo_server}",
        "--repo-server-plaintext",
        # This listener cannot be bound to an address; any free port keeps clusters from colliding.
        "--metrics-port=0",
        # One small cluster: the defaults of 20 and 10 are for hundreds of Applications.
        "--status-processors=6",
        "--operation-processors=4",
        "--loglevel=warn",
    ]


def _application_set_controller(site: ArgoSite) -> list[str]:
    return [
        f"--kubeconfig={site.kubeconfig}",
        f"--namespace={NAMESPACE}",
        f"--argocd-repo-server={site.repo_server}",
        "--repo-server-plaintext",
        f"--metrics-addr={site.home}:{_APPLICATION_SET_METRICS}",
        f"--probe-addr={site.home}:{_APPLICATION_SET_PROBES}",
        f"--webhook-addr={site.home}:{_APPLICATION_SET_WEBHOOK}",
        "--loglevel=warn",
    ]


_FLAGS = {
    "argocd-repo-server": _repo_server,
    "argocd-application-controller": _application_controller,
    "argocd-applicationset-controller": _application_set_controller,
}


def _link(path: Path, target: Path) -> None:
    if path.is_symlink() and path.readlink() == target:
        return
    path.unlink(missing_ok=True)
    path.symlink_to(target)
