"""Emulated Talos: the API of one machine after another, as `talosctl` and nothing else would notice.

Simulated: the operating system. Real, through the Kubernetes host: etcd and everything that answers on port 6443.
"""

from infraflux.lab.talos.lab import TalosLab

__all__ = ["TalosLab"]
