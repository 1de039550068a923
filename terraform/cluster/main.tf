# One cluster: its machines, and the values that the first installs on it need. All in one plan.

module "machines" {
  source = "../modules/talos-cluster"

  environment        = var.environment
  name               = var.name
  nodes              = var.nodes
  network            = var.network
  hosts              = var.proxmox.hosts
  pool_id            = var.proxmox.pool
  image              = var.image.volume
  agent              = var.image.agent
  cloud_init_storage = var.proxmox.cloud_init_storage
  cpu_type           = var.proxmox.cpu_type
  ha                 = var.proxmox.ha
  placement          = var.placement
  protection         = var.protection
}
