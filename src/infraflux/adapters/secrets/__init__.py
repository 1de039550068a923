"""Talos secrets at rest: one age-encrypted bundle per cluster, made once, never over an existing one."""

from infraflux.adapters.secrets.bundle import BundleStore, Learn, SecretsBundle, credential_values, ignore
from infraflux.adapters.secrets.identity import create_identity, load_identities

__all__ = [
    "BundleStore",
    "Learn",
    "SecretsBundle",
    "create_identity",
    "credential_values",
    "ignore",
    "load_identities",
]
