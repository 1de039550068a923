"""The typed configuration: what a cluster is, after layering."""

from infraflux.config.models.cluster import ClusterSpec
from infraflux.config.models.nodes import Node, NodePool, Role

__all__ = ["ClusterSpec", "Node", "NodePool", "Role"]
