# Proxmox HA: the machines as HA resources, and two rules on where they may be.

locals {
  ha_nodes = var.ha ? var.nodes : {}
  # A rule that cannot hold would keep machines from starting: only spread where there are hosts enough.
  spread = var.ha && length(local.control_planes) > 1 && length(local.control_planes) <= length(var.hosts)
}

resource "proxmox_haresource" "node" {
  for_each = local.ha_nodes

  # Taking the id from the machine orders it: HA lets go of a machine before the machine is destroyed.
  resource_id = "vm:${module.node[each.key].vm_id}"
  state       = "started"
  comment     = "${var.environment}/${var.name} ${each.key}"
}

# Hosts the environment does not name have neither its bridge nor its storage.
resource "proxmox_harule" "hosts" {
  count = var.ha ? 1 : 0

  rule      = "infraflux-${var.environment}-${var.name}-hosts"
  type      = "node-affinity"
  comment   = "Hosts of environment ${var.environment}"
  resources = [for resource in proxmox_haresource.node : resource.resource_id]
  nodes     = { for host in var.hosts : host => null }
  strict    = true
}

# Two control planes on one host would fail together.
resource "proxmox_harule" "control_planes_apart" {
  count = local.spread ? 1 : 0

  rule      = "infraflux-${var.environment}-${var.name}-control-planes"
  type      = "resource-affinity"
  comment   = "Control planes of ${var.environment}/${var.name} on separate hosts"
  resources = [for name in local.control_planes : proxmox_haresource.node[name].resource_id]
  affinity  = "negative"
}
