"""InfraFlux: Talos Kubernetes on Proxmox VE, from YAML in Git."""

__version__ = "0.1.0"
