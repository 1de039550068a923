terraform {
  required_version = ">= 1.9"

  required_providers {
    proxmox = {
      source  = "bpg/proxmox"
      version = "0.111.1"
    }
  }
}

# The API token comes from PROXMOX_VE_API_TOKEN: never in a file, a plan or a state.
provider "proxmox" {
  endpoint = var.proxmox.endpoint
  insecure = var.proxmox.insecure
}
