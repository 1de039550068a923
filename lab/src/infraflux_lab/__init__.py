"""The local lab: simulated Proxmox and Talos APIs, real Kubernetes control planes, all on loopback.

Reached only over its endpoints. Nothing but the CLI and the tests imports this package.
"""
