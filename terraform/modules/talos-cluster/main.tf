locals {
  control_planes = [for name, node in var.nodes : name if node.role == "control-plane"]
  # One address per card; a card's own MTU is only named where it differs from the bridge's usual 1500.
  first_nic = {
    bridge = var.network.bridge
    vlan   = var.network.vlan
    mtu    = var.network.mtu == 1500 ? null : var.network.mtu
  }
}

# One VM per declared node, keyed by name
module "node" {
  source   = "../proxmox-vm"
  for_each = var.nodes

  name        = each.key
  description = "${var.environment}/${var.name} ${each.value.role}, managed by InfraFlux"
  vm_id       = each.value.vm_id
  uuid        = each.value.uuid
  tags        = each.value.tags

  host       = lookup(var.placement, each.key, each.value.host)
  pool_id    = var.pool_id
  startup    = each.value.role == "control-plane" ? { order = 1, up_delay_s = 15 } : { order = 2 }
  on_boot    = !var.ha # HA starts its guests itself and ignores the flag
  protection = var.protection

  cpu         = { cores = each.value.cores, type = coalesce(each.value.cpu_type, var.cpu_type) }
  memory_mib  = each.value.memory_mib
  system_disk = merge(each.value.system_disk, { image = var.image })
  data_disks  = each.value.data_disks
  nics        = concat([merge(local.first_nic, { mac = each.value.mac })], each.value.extra_nics)
  pci_devices = each.value.pci_devices
  agent       = var.agent

  cloud_init = {
    storage = var.cloud_init_storage
    address = "${each.value.address}/${var.network.prefix_length}"
    gateway = var.network.gateway
    dns     = var.network.dns
    domain  = var.network.domain
  }
}
