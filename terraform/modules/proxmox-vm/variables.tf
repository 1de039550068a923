# Identity

variable "name" {
  description = "Name of the VM and of the node, for example dev-1-cp-1"
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", var.name))
    error_message = "A VM's name is a DNS label: lower case letters, digits and '-', neither first nor last a '-'."
  }
}

variable "description" {
  description = "Shown in Proxmox, one line, for example: dev/dev-1 control-plane, managed by InfraFlux"
  type        = string
  default     = ""
}

variable "vm_id" {
  description = "Proxmox VM id, for example 10011; always given, so that a repeated create can never make a second VM"
  type        = number

  validation {
    condition     = var.vm_id >= 100 && var.vm_id <= 999999999
    error_message = "Proxmox VM ids are 100 to 999999999."
  }
}

variable "uuid" {
  description = "SMBIOS UUID, for example 0f8fad5b-d9cb-469f-a165-70867728950e; the guest is recognised by it"
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.uuid))
    error_message = "A UUID in lower case is expected."
  }
}

variable "tags" {
  description = "Proxmox tags, for example [\"infraflux\", \"infraflux-dev-dev-1\"]; order does not matter"
  type        = set(string)

  validation {
    condition     = alltrue([for tag in var.tags : can(regex("^[a-z0-9_][a-z0-9_.+-]*$", tag))])
    error_message = "Proxmox stores tags in lower case: letters, digits and _ . + - only."
  }
}

# Placement

variable "host" {
  description = "Proxmox node that carries the VM, for example pve1"
  type        = string
}

variable "pool_id" {
  description = "Resource pool, for example infraflux-dev"
  type        = string
}

variable "startup" {
  description = "Order and pause (seconds) when a host starts its guests, for example { order = 1, up_delay_s = 15 }"
  type        = object({ order = number, up_delay_s = optional(number, 0) })
}

variable "on_boot" {
  description = "Start the VM with its host; false where Proxmox HA starts it"
  type        = bool
  default     = true
}

variable "protection" {
  description = "Proxmox refuses to remove the VM and its disks until this is false and applied"
  type        = bool
  default     = false
}

# Hardware

variable "cpu" {
  description = "Cores and CPU model, for example { cores = 4, type = \"x86-64-v2-AES\" }"
  type        = object({ cores = number, type = string })
}

variable "memory_mib" {
  description = "Memory in MiB, for example 4096; never ballooned, Kubernetes counts on all of it"
  type        = number
}

variable "system_disk" {
  description = "Disk made from the image, for example { size_gib = 20, storage = \"local-lvm\", image = \"local:import/talos.raw\" }"
  type        = object({ size_gib = number, storage = string, image = string })
}

variable "data_disks" {
  description = "Further blank disks in order, for example [{ name = \"data\", size_gib = 100, storage = \"local-lvm\" }]"
  type        = list(object({ name = string, size_gib = number, storage = string, ssd = optional(bool, true) }))
  default     = []

  validation {
    condition     = length(distinct([for disk in var.data_disks : substr(disk.name, 0, 20)])) == length(var.data_disks)
    error_message = "Data disks are told apart by the first 20 characters of their name."
  }
}

variable "nics" {
  description = "Network cards in order, the first carries the address, for example [{ bridge = \"vmbr0\", mac = \"BC:24:11:00:00:01\" }]"
  type        = list(object({ bridge = string, mac = string, vlan = optional(number), mtu = optional(number) }))

  validation {
    condition     = length(var.nics) > 0
    error_message = "A node needs one card at least."
  }
}

variable "pci_devices" {
  description = "Passed-through devices by resource mapping, for example [{ mapping = \"gpu\" }]"
  type = list(object({
    mapping     = string
    pcie        = optional(bool, true)
    rombar      = optional(bool, true)
    primary_gpu = optional(bool, false)
  }))
  default = []
}

variable "agent" {
  description = "Whether the guest runs the QEMU guest agent (Talos: extension siderolabs/qemu-guest-agent)"
  type        = bool
  default     = false
}

# First boot

variable "cloud_init" {
  description = "Static first-boot network of the nocloud drive: address with prefix, gateway, name servers, domain and the drive's storage"
  type = object({
    storage = string
    address = string
    gateway = string
    dns     = list(string)
    domain  = string
  })

  validation {
    condition     = can(cidrhost(var.cloud_init.address, 0))
    error_message = "The address carries its prefix length, for example 10.0.0.11/24."
  }
}
