"""A simulated Proxmox VE 9 API: one cluster per environment, real enough for bpg/proxmox and proxmoxer.

Nothing here runs a virtual machine. What is simulated: hosts, guests, storages, tasks, HA, tokens. Texts and types
follow the real API, because clients decide by them.
"""

VERSION = "9.1.4"
RELEASE = "9.1"
