# What any user of bpg/proxmox may write: the client that proves the simulator. The project's own modules are elsewhere.
terraform {
  required_providers {
    proxmox = {
      source  = "bpg/proxmox"
      version = "0.111.1"
    }
  }
}

variable "endpoint" {
  type = string
}

variable "image_url" {
  type = string
}

variable "token" {
  type      = string
  sensitive = true
}

variable "cores" {
  type    = number
  default = 2
}

variable "disk_gib" {
  type    = number
  default = 20
}

variable "tags" {
  type    = list(string)
  default = ["control-plane", "infraflux-dev-t-1"]
}

locals {
  nodes = {
    cp-1 = { id = 10011, host = "pve-dev-1" }
    cp-2 = { id = 10012, host = "pve-dev-2" }
  }
}

provider "proxmox" {
  endpoint  = var.endpoint
  api_token = "infraflux@pve!dev=${var.token}"
  tmp_dir   = path.root
}

resource "proxmox_virtual_environment_pool" "this" {
  pool_id = "infraflux-dev"
  comment = "machines of dev"
}

resource "proxmox_download_file" "image" {
  for_each     = toset([for node in local.nodes : node.host])
  node_name    = each.key
  datastore_id = "local"
  content_type = "import"
  file_name    = "talos-v1.13.9.raw"
  url          = var.image_url
}

resource "proxmox_virtual_environment_vm" "node" {
  for_each        = local.nodes
  name            = each.key
  node_name       = each.value.host
  vm_id           = each.value.id
  pool_id         = proxmox_virtual_environment_pool.this.pool_id
  description     = "node of dev/t-1"
  tags            = var.tags
  machine         = "q35"
  bios            = "ovmf"
  scsi_hardware   = "virtio-scsi-single"
  migrate         = true
  stop_on_destroy = true

  startup {
    order    = 1
    up_delay = 5
  }

  cpu {
    cores = var.cores
    type  = "host"
  }

  memory {
    dedicated = 4096
  }

  smbios {
    uuid = "00000000-0000-4000-8000-0000000${each.value.id}"
  }

  agent {
    enabled = true
    wait_for_ip {
      disabled = true
    }
  }

  efi_disk {
    datastore_id = "local-lvm"
    type         = "4m"
    file_format  = "raw"
  }

  tpm_state {
    datastore_id = "local-lvm"
    version      = "v2.0"
  }

  disk {
    datastore_id = "local-lvm"
    interface    = "scsi0"
    import_from  = proxmox_download_file.image[each.value.host].id
    size         = var.disk_gib
    file_format  = "raw"
    iothread     = true
    discard      = "on"
    ssd          = true
  }

  disk {
    datastore_id = "local-lvm"
    interface    = "scsi1"
    size         = 10
    file_format  = "raw"
  }

  network_device {
    bridge = "vmbr0"
  }

  initialization {
    datastore_id = "local-lvm"
    ip_config {
      ipv4 {
        address = "127.77.1.${each.value.id - 10000}/24"
        gateway = "127.77.1.1"
      }
    }
    dns {
      servers = ["127.77.1.1"]
    }
  }

  operating_system {
    type = "l26"
  }

  serial_device {}
}

resource "proxmox_haresource" "node" {
  for_each    = proxmox_virtual_environment_vm.node
  resource_id = "vm:${each.value.vm_id}"
  state       = "started"
  comment     = each.key
}

resource "proxmox_harule" "spread" {
  rule      = "infraflux-dev-t-1"
  type      = "resource-affinity"
  affinity  = "negative"
  resources = [for node in proxmox_haresource.node : node.resource_id]
}
