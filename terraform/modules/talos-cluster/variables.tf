variable "environment" {
  description = "Environment, for example dev"
  type        = string
}

variable "name" {
  description = "Cluster, for example dev-1"
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$", var.name))
    error_message = "A cluster's name has 1 to 32 lower case letters, digits and '-'."
  }
}

variable "nodes" {
  description = "The machines by name: removing one never renumbers the rest"
  type = map(object({
    role        = string
    host        = string
    vm_id       = number
    mac         = string
    uuid        = string
    address     = string
    cores       = number
    cpu_type    = optional(string)
    memory_mib  = number
    system_disk = object({ size_gib = number, storage = string })
    data_disks  = optional(list(object({ name = string, size_gib = number, storage = string, ssd = bool })), [])
    extra_nics  = optional(list(object({ bridge = string, mac = string, vlan = optional(number), mtu = optional(number) })), [])
    pci_devices = optional(list(object({ mapping = string, pcie = bool, rombar = bool, primary_gpu = bool })), [])
    tags        = list(string)
  }))

  validation {
    condition     = alltrue([for node in var.nodes : contains(["control-plane", "worker"], node.role)])
    error_message = "A node's role is control-plane or worker."
  }

  validation {
    condition     = length(distinct([for node in var.nodes : node.vm_id])) == length(var.nodes)
    error_message = "Two nodes have the same VM id."
  }

  validation {
    condition     = length(distinct([for node in var.nodes : node.address])) == length(var.nodes)
    error_message = "Two nodes have the same address."
  }

  validation {
    condition     = length(distinct([for node in var.nodes : lower(node.mac)])) == length(var.nodes)
    error_message = "Two nodes have the same MAC."
  }
}

variable "network" {
  description = "First card and its static address: { bridge = \"vmbr0\", prefix_length = 24, gateway = \"10.0.0.1\", dns = [\"10.0.0.1\"], domain = \"dev-1.example.org\" }"
  type = object({
    bridge        = string
    vlan          = optional(number)
    mtu           = optional(number)
    prefix_length = number
    gateway       = string
    dns           = list(string)
    domain        = string
  })
}

variable "hosts" {
  description = "Proxmox nodes that may carry the machines, for example [\"pve1\", \"pve2\", \"pve3\"]"
  type        = set(string)

  validation {
    condition     = length(var.hosts) > 0
    error_message = "One host at least."
  }
}

variable "pool_id" {
  description = "Resource pool, for example infraflux-dev"
  type        = string
}

variable "image" {
  description = "Volume id of the Talos image, the same name on every host, for example local:import/talos-v1.13.9-376567988ad3.raw"
  type        = string
}

variable "cloud_init_storage" {
  description = "Storage of the nocloud drive, for example local-lvm"
  type        = string
}

variable "cpu_type" {
  description = "CPU model shown to the guests, for example x86-64-v2-AES"
  type        = string
}

variable "agent" {
  description = "Whether the image runs the QEMU guest agent"
  type        = bool
  default     = false
}

variable "ha" {
  description = "Proxmox HA restarts the machines and moves them when a host fails (Proxmox VE 9 or later)"
  type        = bool
  default     = false
}

variable "placement" {
  description = "Where Proxmox HA has put nodes by now, for example { dev-1-cp-1 = \"pve2\" }; others are on the host they name"
  type        = map(string)
  default     = {}
}

variable "protection" {
  description = "Deletion protection of every machine"
  type        = bool
  default     = false
}
