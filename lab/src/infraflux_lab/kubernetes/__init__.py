"""The real control plane of each lab cluster: etcd, kube-apiserver, controller-manager, scheduler and kwok.

On real hardware Talos runs these inside the virtual machines. Here the machines are simulated, so the lab runs the
same programs, with the PKI and settings of the Talos machine config, as child processes on the node's own address.
"""

from infraflux_lab.kubernetes.host import ClusterHandle, ClusterObserver, KubernetesLab

__all__ = ["ClusterHandle", "ClusterObserver", "KubernetesLab"]
