locals {
  bgp = var.load_balancer.bgp

  # Pods annotate nothing: CRDs of Cilium appear when its operator runs, so a first dry run may not know them yet.
  late_crd = { "argocd.argoproj.io/sync-options" = "SkipDryRunOnMissingResource=true", "argocd.argoproj.io/sync-wave" = "5" }

  pools = [
    for pool in var.load_balancer.pools : {
      apiVersion = "cilium.io/v2"
      kind       = "CiliumLoadBalancerIPPool"
      metadata   = { name = pool.name, annotations = local.late_crd }
      spec       = { blocks = [{ start = pool.first, stop = pool.last }] }
    }
  ]

  l2_policy = [
    for mode in [var.load_balancer.mode] : {
      apiVersion = "cilium.io/v2alpha1"
      kind       = "CiliumL2AnnouncementPolicy"
      metadata   = { name = "platform", annotations = local.late_crd }
      spec       = { loadBalancerIPs = true, externalIPs = true, interfaces = var.load_balancer.interfaces }
    } if mode == "l2"
  ]
}
