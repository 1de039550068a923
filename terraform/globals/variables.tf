variable "environment" {
  description = "Environment, for example dev"
  type        = string
}

variable "proxmox" {
  description = "API of the environment, for example { endpoint = \"https://pve.example.org:8006\", insecure = false }"
  type        = object({ endpoint = string, insecure = bool })
}

variable "pools" {
  description = "Resource pools to make, comment by name, for example { infraflux-dev = \"Environment dev\" }"
  type        = map(string)
  default     = {}
}

variable "hosts" {
  description = "Proxmox nodes that get the images, for example [\"pve1\", \"pve2\"]"
  type        = set(string)

  validation {
    condition     = length(var.hosts) > 0
    error_message = "One host at least."
  }
}

variable "images" {
  description = "Talos images by file name, for example { \"talos-v1.13.9-376567988ad3.raw\" = { url = \"https://…\", storage = \"local\" } }"
  type        = map(object({ url = string, storage = string, sha256 = optional(string) }))
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.images) : can(regex("^[A-Za-z0-9][A-Za-z0-9._-]*\\.(raw|qcow2)$", name))])
    error_message = "Proxmox imports .raw and .qcow2 files only."
  }
}

variable "download_timeout_s" {
  description = "How long one host may take for one image, in seconds"
  type        = number
  default     = 1800
}
