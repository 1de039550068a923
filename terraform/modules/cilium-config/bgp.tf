locals {
  # Every node peers with every router and announces the addresses of LoadBalancer Services.
  bgp_manifests = local.bgp == null ? [] : [
    jsonencode({
      apiVersion = "cilium.io/v2"
      kind       = "CiliumBGPClusterConfig"
      metadata   = { name = "platform", annotations = local.late_crd }
      spec = {
        nodeSelector = { matchLabels = { "kubernetes.io/os" = "linux" } }
        bgpInstances = [{
          name     = "platform"
          localASN = local.bgp.local_asn
          peers = [
            for peer in local.bgp.peers : {
              name          = peer.name
              peerASN       = peer.asn
              peerAddress   = peer.address
              peerConfigRef = { name = "platform" }
            }
          ]
        }]
      }
    }),
    jsonencode({
      apiVersion = "cilium.io/v2"
      kind       = "CiliumBGPPeerConfig"
      metadata   = { name = "platform", annotations = local.late_crd }
      spec = {
        gracefulRestart = { enabled = true, restartTimeSeconds = 120 }
        families = [{
          afi            = "ipv4"
          safi           = "unicast"
          advertisements = { matchLabels = { advertise = "platform" } }
        }]
      }
    }),
    jsonencode({
      apiVersion = "cilium.io/v2"
      kind       = "CiliumBGPAdvertisement"
      metadata   = { name = "platform", labels = { advertise = "platform" }, annotations = local.late_crd }
      spec = {
        advertisements = [{
          advertisementType = "Service"
          service           = { addresses = ["LoadBalancerIP"] }
          # Cilium announces no Service without a selector; this one matches all.
          selector = { matchExpressions = [{ key = "infraflux.io/no-bgp", operator = "DoesNotExist" }] }
        }]
      }
    }),
  ]
}
