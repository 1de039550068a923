# What the first installs and the handoff to Git need, computed here so that it shows in the same reviewed plan.

module "cilium" {
  source = "../modules/cilium-config"

  cluster       = { name = var.name, id = var.platform.cluster_id }
  pod_cidr      = var.platform.pod_cidr
  mtu           = var.network.mtu
  node_count    = length(var.nodes)
  load_balancer = var.platform.load_balancer
  gateway       = var.platform.gateway
}

module "argocd" {
  source = "../modules/argocd-bootstrap"

  cluster = {
    environment        = var.environment
    name               = var.name
    domain             = var.platform.domain
    kubernetes_version = var.platform.kubernetes_version
    talos_version      = var.platform.talos_version
  }
  platform_repository    = var.platform.platform_repository
  application_repository = var.platform.application_repository
  chart_repository       = var.platform.chart_repository
  components = merge(var.platform.components, {
    cilium = merge(try(var.platform.components["cilium"], {}), {
      generated = jsonencode(module.cilium.values)
      manifests = jsonencode(module.cilium.manifests)
    })
    # With cert-manager: before its certificates are there, the Gateway would hold up every later stage.
    cert-manager = merge(try(var.platform.components["cert-manager"], {}), {
      manifests = jsonencode(module.cilium.gateway_manifests)
    })
  })
  load_balancer_pools = var.platform.load_balancer.pools
  storage_classes     = var.platform.storage_classes
  facts               = var.platform.facts
  admin_enabled       = var.platform.admin_enabled
  secret_management   = var.platform.secret_management
}

output "platform" {
  description = "Helm values of the first installs by component, and the objects of the handoff in order; no secrets"
  value = {
    values    = { cilium = module.cilium.values, argocd = module.argocd.values }
    manifests = module.argocd.manifests
  }
}
