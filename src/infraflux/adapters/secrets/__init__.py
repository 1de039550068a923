"""Talos secrets at rest: one age-encrypted bundle per cluster, made once, never over an existing one."""

from infraflux.adapters.secrets.bundle import BundleStore, SecretsBundle
from infraflux.adapters.secrets.identity import create_identity, load_identities

__all__ = ["BundleStore", "SecretsBundle", "create_identity", "load_identities"]
