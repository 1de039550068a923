"""Proxmox VE, read: what is there, what would go wrong, which machines no state knows."""
