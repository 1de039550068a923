"""The one typed answer to "what should this cluster be": every later part reads a `ClusterSpec` and nothing else."""

import posixpath
from functools import cached_property
from typing import Self

from pydantic import Field, ValidationError, model_validator

from infraflux.config.models.base import Name, Section, Text
from infraflux.config.models.derive import derive_nodes
from infraflux.config.models.hooks import Hook, HookStage
from infraflux.config.models.network import Network
from infraflux.config.models.nodes import Node, NodePool, Role
from infraflux.config.models.platform import GitOps, Platform
from infraflux.config.models.policy import Policy
from infraflux.config.models.proxmox import SIMULATED, SIMULATED_AROUND_NODES, Proxmox
from infraflux.config.models.talos import Image, TalosConfig, TalosSecrets, Versions


class ClusterSpec(Section):
    """A cluster after layering: `environment` and `name` come from the path of its overlay file."""

    environment: Name
    """The overlay's directory."""
    name: Name
    """The overlay's file name."""
    size: Name
    """Which file of `clusters/templates/` it is built from."""
    cluster_id: int = Field(ge=1, le=255)
    """Cilium's cluster id, unique in the fleet."""
    vm_id_start: int = Field(ge=100, le=999_000_000)
    """VM ids are this plus the host number of the node's address."""
    description: Text = ""
    """For people; shown in listings."""
    release: Name | None = None
    """The release whose `pins` the environment runs; written by promotion. None: the layers' own versions."""
    versions: Versions
    image: Image = Image()
    proxmox: Proxmox
    network: Network
    node_pools: tuple[NodePool, ...] = Field(min_length=1)
    talos: TalosConfig = TalosConfig()
    secrets: TalosSecrets
    platform: Platform
    gitops: GitOps
    policy: Policy = Policy()
    hooks: tuple[Hook, ...] = ()
    """Commands that runs start at set moments."""

    @property
    def simulation_notice(self) -> str:
        """What every report about this cluster has to say of what it shows; empty where the hosts are real."""
        if not self.proxmox.on_loopback:
            return ""
        return SIMULATED if self.network.node_cidr.is_loopback else SIMULATED_AROUND_NODES

    @property
    def key(self) -> str:
        """`<environment>/<cluster>`, as typed on every command line."""
        return f"{self.environment}/{self.name}"

    @property
    def ownership_tag(self) -> str:
        """Proxmox tag that marks what is ours: nothing without it is ever touched."""
        return f"infraflux-{self.environment}-{self.name}"

    @property
    def pool_name(self) -> str:
        return self.proxmox.pool or f"infraflux-{self.environment}"

    @property
    def bundle_path(self) -> str:
        """Where the secrets bundle is, below what `secrets.storage` says."""
        return posixpath.normpath(self.secrets.bundle or f"secrets/{self.environment}/{self.name}.talos.age")

    @property
    def endpoint(self) -> str:
        """The Kubernetes API: `https://<vip>:6443`."""
        return f"https://{self.network.vip}:6443"

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, control planes first, in pool order; stable when a pool grows."""
        return derive_nodes(self)

    @property
    def control_planes(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.role is Role.CONTROL_PLANE)

    @property
    def workers(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.role is Role.WORKER)

    @property
    def has_workers(self) -> bool:
        """Known from the pools alone, before any node is derived."""
        return any(pool.role is Role.WORKER and (pool.nodes or pool.count) for pool in self.node_pools)

    @property
    def control_planes_take_workloads(self) -> bool:
        """Whether pods may run on control planes."""
        said = self.talos.schedule_on_control_planes
        return not self.has_workers if said is None else said

    def node(self, name: str) -> Node:
        """The node of this name; KeyError where there is none."""
        return {node.name: node for node in self.nodes}[name]

    def hooks_at(self, stage: HookStage) -> tuple[Hook, ...]:
        """The hooks of one moment, in the order in which they are declared."""
        return tuple(hook for hook in self.hooks if hook.stage is stage)

    @model_validator(mode="after")
    def pools_have_addresses_and_nodes(self) -> Self:
        """Deriving the nodes raises ValueError with the pool's name where an address range is too small."""
        try:
            _ = self.nodes
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"a derived node has a wrong {first['loc'][0]}: {first['input']!r}") from None
        return self
