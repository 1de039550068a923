"""Emulated Talos: the API of one machine after another, as `talosctl` and nothing else would notice.

Simulated: the operating system. Real, through the Kubernetes host: etcd and everything that answers on port 6443.
"""

import os

# gRPC's fork handlers crash one child in seven between fork and exec while its own threads are busy, and the lab's
# process starts etcd and the API server next to its gRPC server. None of those children uses gRPC. Read at import.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from infraflux_lab.talos.lab import TalosLab

__all__ = ["TalosLab"]
