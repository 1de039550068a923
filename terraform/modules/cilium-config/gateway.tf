locals {
  gateway_manifests = var.gateway == null ? [] : [
    jsonencode({
      apiVersion = "gateway.networking.k8s.io/v1"
      kind       = "Gateway"
      metadata = {
        name      = "platform"
        namespace = "kube-system"
        # In the wave of the issuers: its certificates wait for them by themselves.
        annotations = merge(local.late_crd, { "cert-manager.io/cluster-issuer" = var.gateway.issuer })
      }
      spec = {
        gatewayClassName = "cilium"
        listeners = concat(
          [{
            name          = "http"
            protocol      = "HTTP"
            port          = 80
            hostname      = "*.${var.gateway.domain}"
            allowedRoutes = { namespaces = { from = "All" } }
          }],
          [for host in var.gateway.hosts : {
            name          = host == "*" ? "https" : "https-${host}"
            protocol      = "HTTPS"
            port          = 443
            hostname      = "${host}.${var.gateway.domain}"
            tls           = { mode = "Terminate", certificateRefs = [{ group = "", kind = "Secret", name = host == "*" ? "platform-tls" : "platform-tls-${host}" }] }
            allowedRoutes = { namespaces = { from = "All" } }
          }],
        )
      }
    })
  ]
}
