output "values" {
  description = "Helm values of this cluster, merged over platform/infrastructure/cilium/{base,overlays/<env>}/values.yaml."
  value = merge(
    {
      cluster               = var.cluster
      k8sServiceHost        = var.api.host
      k8sServicePort        = var.api.port
      ipv4NativeRoutingCIDR = var.pod_cidr
      MTU                   = var.mtu
      operator              = { replicas = var.node_count > 1 ? 2 : 1 }
      l2announcements       = { enabled = var.load_balancer.mode == "l2" }
      bgpControlPlane       = { enabled = var.load_balancer.mode == "bgp" }
    },
    # Announcements are kept by leases, one a Service: the default client limits are too low for many Services.
    var.load_balancer.mode == "l2" ? { k8sClientRateLimit = { qps = 50, burst = 100 } } : {},
  )
}

output "manifests" {
  description = "Objects next to the chart: address pools and announcements; applied by Argo CD."
  value = concat(
    local.pools,
    local.l2_policy,
    [for text in local.bgp_manifests : jsondecode(text)],
  )
}

output "gateway_manifests" {
  description = "The shared Gateway; it comes after cert-manager, without which its certificates never are."
  value       = [for text in local.gateway_manifests : jsondecode(text)]
}
