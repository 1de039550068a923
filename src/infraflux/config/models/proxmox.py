"""Where the machines of an environment live."""

from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import Field

from infraflux.config import patterns
from infraflux.config.models.base import BridgeName, HostName, PoolName, SecretRef, Section, StorageName, Tag, Text, Url

SIMULATED = (
    "Simulated: the Proxmox and Talos APIs and the pods behind this are the lab's, and the charts where it was given "
    "no real ones. "
    "Terraform, talosctl, helm, etcd and the Kubernetes control plane are real."
)
SIMULATED_AROUND_NODES = (
    "Simulated: the Proxmox API, the pod network and what runs in pods are the lab's, and the charts where it was "
    "given no real ones. "
    "The Talos nodes run in containers; Terraform, talosctl, helm, etcd, kubelets and the control plane are real."
)
"""With real nodes, which cannot have loopback addresses."""


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine itself."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class ApiToken(Section):
    """A Proxmox API token; the least privileges it needs are listed in docs/proxmox.md."""

    id: str = Field(pattern=patterns.TOKEN_ID.regex)
    """`user@realm!name`, for example `infraflux@pve!dev`."""
    secret: SecretRef
    """Where the token's secret is."""


class Storage(Section):
    """Names of storages that exist on every host of the environment."""

    disks: StorageName
    """Holds VM disks, for example `local-lvm`."""
    images: StorageName
    """Holds the Talos image (content type `import`), for example `local`."""
    cloud_init: StorageName | None = None
    """Holds the cloud-init drive; the disk storage where it is not given."""


class Bridge(Section):
    """The network the first card of every node is plugged into."""

    name: BridgeName
    """A bridge that every host has."""
    vlan: int | None = Field(default=None, ge=1, le=4094)
    """VLAN tag of the nodes' first card."""


class Spread(StrEnum):
    """How strictly control planes stay on different hosts."""

    PREFERRED = "preferred"
    REQUIRED = "required"


class Host(Section):
    """A Proxmox node that may carry this environment's machines."""

    name: HostName
    """As Proxmox names it."""


class Proxmox(Section):
    """One Proxmox VE cluster's API and what of it this environment uses."""

    endpoint: Url
    """`https://pve.example.org:8006`"""
    token: ApiToken
    ca_file: Text | None = None
    """CA certificate that signed the API's certificate; the system's CAs where it is not given."""
    insecure: bool = False
    """Do not verify the certificate; policy may forbid it."""
    hosts: tuple[Host, ...] = Field(min_length=1)
    storage: Storage
    bridge: Bridge
    pool: PoolName | None = None
    """Resource pool; `infraflux-<environment>` where it is not given."""
    tags: tuple[Tag, ...] = ()
    """Extra tags for every VM, beside the ownership tags that are always set."""
    ha: bool = False
    """Let Proxmox HA restart and move the machines."""
    control_plane_spread: Spread = Spread.PREFERRED
    """`required`: refuse a configuration in which two control planes share a host."""
    cpu_type: str = Field(default="x86-64-v2-AES", pattern=patterns.CPU_TYPE.regex)
    """CPU type of the machines."""
    description: Text = ""
    """For people."""

    @property
    def on_loopback(self) -> bool:
        """Whether the API is on this machine: a real Proxmox host never is, the lab's simulated ones always are."""
        return is_loopback(self.endpoint)
