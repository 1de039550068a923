variable "environment" {
  description = "Environment, for example dev"
  type        = string
}

variable "name" {
  description = "Cluster, for example dev-1"
  type        = string
}

variable "proxmox" {
  description = "API, hosts and hardware defaults of the environment; see modules/talos-cluster for each field"
  type = object({
    endpoint           = string
    insecure           = bool
    hosts              = set(string)
    pool               = string
    cloud_init_storage = string
    cpu_type           = string
    ha                 = bool
  })
}

variable "network" {
  description = "First card and its static address; see modules/talos-cluster"
  type = object({
    bridge        = string
    vlan          = optional(number)
    mtu           = number
    prefix_length = number
    gateway       = string
    dns           = list(string)
    domain        = string
  })
}

variable "image" {
  description = "Volume id of the Talos image and whether it runs the guest agent, for example { volume = \"local:import/talos.raw\", agent = false }"
  type        = object({ volume = string, agent = bool })
}

variable "nodes" {
  description = "The machines by name; see modules/talos-cluster"
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
    data_disks  = list(object({ name = string, size_gib = number, storage = string, ssd = bool }))
    extra_nics  = list(object({ bridge = string, mac = string, vlan = optional(number), mtu = optional(number) }))
    pci_devices = list(object({ mapping = string, pcie = bool, rombar = bool, primary_gpu = bool }))
    tags        = list(string)
  }))
}

variable "protection" {
  description = "Deletion protection of every machine"
  type        = bool
}

variable "placement" {
  description = "Where Proxmox HA has put nodes by now, host by node"
  type        = map(string)
  default     = {}
}

variable "adopt" {
  description = "Machines of ours that no state knows, taken over instead of made anew: \"<host>/<vm id>\" by node"
  type        = map(string)
  default     = {}
}
