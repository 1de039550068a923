terraform {
  # 1.9: `check` blocks, mock providers and validation that may look at other variables.
  required_version = ">= 1.9"

  required_providers {
    proxmox = {
      source = "bpg/proxmox"
      # Pinned: plans are proven empty after apply with exactly this version.
      version = "0.111.1"
    }
  }
}
