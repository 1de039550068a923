variable "cluster" {
  description = "Name and Cilium cluster id, for example { name = \"dev-1\", id = 1 }; the id is unique in the fleet."
  type = object({
    name = string
    id   = number
  })

  validation {
    condition     = can(regex("^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$", var.cluster.name))
    error_message = "cluster.name must be 1 to 32 characters of a-z, 0-9 and -, neither beginning nor ending with -."
  }
  validation {
    condition     = var.cluster.id >= 1 && var.cluster.id <= 255 && floor(var.cluster.id) == var.cluster.id
    error_message = "cluster.id must be a whole number from 1 to 255: Cilium cannot tell clusters apart beyond that."
  }
}

variable "api" {
  description = "Where Cilium reaches the Kubernetes API; the default is KubePrism on every Talos node."
  type = object({
    host = optional(string, "localhost")
    port = optional(number, 7445)
  })
  default = {}

  validation {
    condition     = var.api.port >= 1 && var.api.port <= 65535
    error_message = "api.port must be from 1 to 65535."
  }
}

variable "pod_cidr" {
  description = "Addresses of pods, for example \"10.244.0.0/16\"."
  type        = string

  validation {
    condition     = can(cidrhost(var.pod_cidr, 0)) && cidrhost(var.pod_cidr, 0) == split("/", var.pod_cidr)[0]
    error_message = "pod_cidr must be a network such as 10.244.0.0/16, without host bits."
  }
}

variable "mtu" {
  description = "MTU of the node network in bytes, for example 1500."
  type        = number
  default     = 1500

  validation {
    condition     = var.mtu >= 1280 && var.mtu <= 9216
    error_message = "mtu must be from 1280 to 9216."
  }
}

variable "node_count" {
  description = "Nodes of the cluster; with a single one the operator cannot run twice."
  type        = number

  validation {
    condition     = var.node_count >= 1
    error_message = "node_count must be at least 1."
  }
}

variable "load_balancer" {
  description = "How Services of type LoadBalancer get addresses: mode `l2` (ARP) or `bgp`, and the pools, for example { mode = \"l2\", pools = [{ name = \"default\", first = \"10.0.0.200\", last = \"10.0.0.220\" }] }."
  type = object({
    mode = string
    pools = list(object({
      name  = string
      first = string
      last  = string
    }))
    interfaces = optional(list(string), ["^eth[0-9]+", "^ens[0-9]+", "^enp[0-9a-z]+"])
    bgp = optional(object({
      local_asn = number
      peers = list(object({
        name    = string
        address = string
        asn     = number
      }))
    }))
  })

  validation {
    condition     = contains(["l2", "bgp"], var.load_balancer.mode)
    error_message = "load_balancer.mode must be l2 or bgp."
  }
  validation {
    condition     = (var.load_balancer.mode == "bgp") == (var.load_balancer.bgp != null)
    error_message = "load_balancer.bgp is needed with mode bgp, and only then."
  }
  validation {
    condition     = length(var.load_balancer.pools) > 0 && length(distinct(var.load_balancer.pools[*].name)) == length(var.load_balancer.pools)
    error_message = "load_balancer.pools needs at least one pool, and each name once."
  }
  validation {
    condition = alltrue([
      for pool in var.load_balancer.pools : can(cidrhost("${pool.first}/32", 0)) && can(cidrhost("${pool.last}/32", 0))
    ])
    error_message = "load_balancer.pools: first and last must be IPv4 addresses."
  }
}

variable "gateway" {
  description = "The shared Gateway `platform`: its DNS domain, the issuer of its certificates and the host names below the domain that get HTTPS (HTTP-01 issuers cannot make the wildcard `*`), for example { domain = \"dev-1.example.org\", hosts = [\"shop\"] }; null for none."
  type = object({
    domain = string
    issuer = optional(string, "platform")
    hosts  = optional(list(string), ["*"])
  })
  default = null
}
