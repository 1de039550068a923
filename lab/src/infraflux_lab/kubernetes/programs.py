"""Command lines and environments of the control plane processes: pure functions of layout and settings.

The flags are those of Talos' static pods (https://www.talos.dev/v1.13/, internal/app/machined/pkg/controllers/k8s)
without what needs a kubelet, plus what a loopback address and a small machine need; each of those says why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infraflux_lab.contracts import NodeFacts
from infraflux_lab.kubernetes.material import API_PORT, ETCD_CLIENT_PORT, ETCD_PEER_PORT, Layout, MemberLayout
from infraflux_lab.kubernetes.settings import ClusterSettings

# kwok plays the kubelet of every node with this label. Not an annotation: kwok filters those on its own side and then
# never learns that a node is no longer its own; a label selector is the API server's, which tells it.
KWOK_LABEL = "lab.infraflux.io/kubelet"
FORMER_KWOK_LABEL = "lab.infraflux.dev/kubelet"
KWOK_LABEL_VALUE = "kwok"
STAGES = Path(__file__).with_name("stages.yaml")
# Start order; stopping is the reverse, see ControlPlane.stop. One etcd for each control plane, one of all others.
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
HOME_PROGRAMS = PROGRAMS[1:]

# Soft limits of the Go heap in MiB: far above what an idle cluster needs and low enough to keep three clusters of the
# lab in 2 GiB. A soft limit costs garbage collection, never an out-of-memory kill.
MEMORY_LIMIT_MIB: Mapping[str, int] = {
    "etcd": 64,
    "kube-apiserver": 320,
    "kube-controller-manager": 96,
    "kube-scheduler": 64,
    "kwok": 64,
}
# The default of 100 lets a heap double before it is collected.
GC_PERCENT = 50

# Flags that say where things are; a machine config does not know the lab's paths and addresses.
OWNED_BY_LAB = frozenset(
    {
        "advertise-address",
        "bind-address",
        "client-ca-file",
        "endpoint-reconciler-type",
        "etcd-cafile",
        "etcd-certfile",
        "etcd-keyfile",
        "etcd-servers",
        "kubeconfig",
        "secure-port",
        "tls-cert-file",
        "tls-private-key-file",
    }
)

Flags = dict[str, str | list[str]]


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """One process to run."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]


def programs(
    *, layout: Layout, settings: ClusterSettings, home: str, binaries: Mapping[str, Path]
) -> list[ProcessSpec]:
    """Everything that runs once per cluster, in start order; KeyError names a binary that is not there."""
    makers = {
        "kube-apiserver": lambda: api_server_flags(layout, settings, home=home),
        "kube-controller-manager": lambda: controller_manager_flags(layout, settings, home=home),
        "kube-scheduler": lambda: scheduler_flags(layout, settings, home=home),
        "kwok": lambda: kwok_flags(layout, settings),
    }
    return [
        ProcessSpec(
            name=name,
            argv=[str(binaries[name]), *render_flags(makers[name]())],
            environment=program_environment(name, layout.root),
        )
        for name in HOME_PROGRAMS
    ]


def etcd_program(
    layout: MemberLayout, node: NodeFacts, *, initial_cluster: str, new: bool, binary: Path
) -> ProcessSpec:
    """One etcd member."""
    flags = etcd_flags(layout, node, initial_cluster=initial_cluster, new=new)
    return ProcessSpec(
        name=f"etcd-{node.name}",
        argv=[str(binary), *render_flags(flags)],
        environment=program_environment("etcd", layout.root),
    )


def program_environment(name: str, home: Path) -> dict[str, str]:
    """Nothing of the user's environment: proxies, Go settings and a kwok.yaml in the home must not leak in."""
    return {
        "HOME": str(home),
        "PATH": "/usr/bin:/bin",
        "TMPDIR": str(home),
        "GOMEMLIMIT": f"{MEMORY_LIMIT_MIB[name]}MiB",
        "GOGC": str(GC_PERCENT),
    }


def render_flags(flags: Mapping[str, str | list[str]]) -> list[str]:
    """`--name=value`, a list repeated."""
    return [
        f"--{name}={item}" for name, value in flags.items() for item in (value if isinstance(value, list) else [value])
    ]


def with_extra(flags: Flags, extra: Mapping[str, Any]) -> Flags:
    """`extraArgs` of the machine config win over ours, except where they name the lab's own paths and addresses."""
    chosen = {
        name: [str(item) for item in value] if isinstance(value, list) else _flag_text(value)
        for name, value in extra.items()
        if name not in OWNED_BY_LAB
    }
    return {**flags, **chosen}


def etcd_flags(layout: MemberLayout, node: NodeFacts, *, initial_cluster: str, new: bool) -> Flags:
    """The member of one control plane, by the name Talos gives it: the node's."""
    client, peer = f"https://{node.address}:{ETCD_CLIENT_PORT}", f"https://{node.address}:{ETCD_PEER_PORT}"
    return {
        "name": node.name,
        "data-dir": str(layout.data),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": initial_cluster,
        "initial-cluster-state": "new" if new else "existing",
        "client-cert-auth": "true",
        "trusted-ca-file": str(layout.certificate("etcd-ca")),
        "cert-file": str(layout.certificate("etcd-server")),
        "key-file": str(layout.key("etcd-server")),
        "peer-client-cert-auth": "true",
        "peer-trusted-ca-file": str(layout.certificate("etcd-ca")),
        "peer-cert-file": str(layout.certificate("etcd-peer")),
        "peer-key-file": str(layout.key("etcd-peer")),
        # A lab lives for days: without compaction every lease renewal stays in the database for ever.
        "auto-compaction-mode": "periodic",
        "auto-compaction-retention": "5m",
        # Seven members share a laptop: they must not call each other dead because it is busy.
        "heartbeat-interval": "250",
        "election-timeout": "2500",
        # What survives a killed process is in the page cache; a lab does not survive the machine.
        "unsafe-no-fsync": "true",
        # Entries kept in memory for slow followers.
        "snapshot-count": "2000",
        "snapshot-catchup-entries": "500",
        "log-level": "warn",
    }


def api_server_flags(layout: Layout, settings: ClusterSettings, *, home: str) -> Flags:
    """Flags of the one API server, with the API server's `extraArgs`."""
    flags: Flags = {
        "advertise-address": home,
        "bind-address": home,
        "secure-port": str(API_PORT),
        # The reconcilers refuse to publish a loopback address as an endpoint, and then the API server will not start.
        "endpoint-reconciler-type": "none",
        "anonymous-auth": "false",
        # Cilium's pods are privileged.
        "allow-privileged": "true",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "admission-control-config-file": str(layout.admission),
        "enable-bootstrap-token-auth": "true",
        "encryption-provider-config": str(layout.encryption),
        "api-audiences": settings.endpoint,
        "service-account-issuer": settings.endpoint,
        "service-account-key-file": str(layout.service_account_public_key),
        "service-account-signing-key-file": str(layout.key("service-account")),
        "service-cluster-ip-range": ",".join(settings.service_subnets),
        "profiling": "false",
        # Nothing to drain: clients of the lab reconnect.
        "shutdown-delay-duration": "0s",
        "v": "1",
    }
    flags |= _api_server_files(layout, home=home)
    return with_extra(flags, settings.extra_args.get("kube-apiserver", {}))


def _api_server_files(layout: Layout, *, home: str) -> Flags:
    return {
        "client-ca-file": str(layout.certificate("ca")),
        "tls-cert-file": str(layout.certificate("kube-apiserver")),
        "tls-private-key-file": str(layout.key("kube-apiserver")),
        "etcd-servers": f"https://{home}:{ETCD_CLIENT_PORT}",
        "etcd-cafile": str(layout.certificate("etcd-ca")),
        "etcd-certfile": str(layout.certificate("etcd-client")),
        "etcd-keyfile": str(layout.key("etcd-client")),
        "requestheader-client-ca-file": str(layout.certificate("aggregator-ca")),
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "proxy-client-cert-file": str(layout.certificate("front-proxy-client")),
        "proxy-client-key-file": str(layout.key("front-proxy-client")),
    }


def controller_manager_flags(layout: Layout, settings: ClusterSettings, *, home: str) -> Flags:
    """Flags of the controller manager, with its `extraArgs`."""
    flags: Flags = {
        **_component_flags(layout, "kube-controller-manager", home=home),
        "allocate-node-cidrs": "true",
        "cluster-cidr": ",".join(settings.pod_subnets),
        "service-cluster-ip-range": ",".join(settings.service_subnets),
        "cluster-signing-cert-file": str(layout.certificate("ca")),
        "cluster-signing-key-file": str(layout.key("ca")),
        "root-ca-file": str(layout.certificate("ca")),
        "service-account-private-key-file": str(layout.key("service-account")),
        "use-service-account-credentials": "true",
        "controllers": "*,tokencleaner",
    }
    return with_extra(flags, settings.extra_args.get("kube-controller-manager", {}))


def scheduler_flags(layout: Layout, settings: ClusterSettings, *, home: str) -> Flags:
    """Flags of the scheduler, with its `extraArgs`."""
    flags = _component_flags(layout, "kube-scheduler", home=home)
    return with_extra(flags, settings.extra_args.get("kube-scheduler", {}))


def _component_flags(layout: Layout, name: str, *, home: str) -> Flags:
    kubeconfig = str(layout.kubeconfig(name))
    return {
        "kubeconfig": kubeconfig,
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": home,
        # There is one of each: an election would only cost start-up time and a write every two seconds.
        "leader-elect": "false",
        "profiling": "false",
        "v": "1",
    }


def kwok_flags(layout: Layout, settings: ClusterSettings) -> Flags:
    """kwok plays the kubelet of every node that carries its label."""
    return {
        "kubeconfig": str(layout.kubeconfig("kwok")),
        "manage-all-nodes": "false",
        "config": str(STAGES),
        "manage-nodes-with-label-selector": f"{KWOK_LABEL}={KWOK_LABEL_VALUE}",
        "cidr": settings.pod_subnets[0],
        # What a kubelet asks for; kwok renews at a quarter of it.
        "node-lease-duration-seconds": "40",
        "v": "WARN",
    }


def _flag_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
