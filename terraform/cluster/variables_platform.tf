variable "platform" {
  description = "What Cilium and Argo CD are told of this cluster; see modules/cilium-config and modules/argocd-bootstrap for each field"
  type = object({
    cluster_id         = number
    domain             = string
    kubernetes_version = string
    talos_version      = string
    pod_cidr           = string
    load_balancer = object({
      mode  = string
      pools = list(object({ name = string, first = string, last = string }))
      bgp = optional(object({
        local_asn = number
        peers     = list(object({ name = string, address = string, asn = number }))
      }))
    })
    gateway                = optional(object({ domain = string, issuer = string, hosts = list(string) }))
    platform_repository    = object({ url = string, revision = string, path = string })
    application_repository = optional(object({ url = string, revision = string, path = string, namespaces = list(string) }))
    chart_repository       = optional(string)
    components = map(object({
      enabled    = bool
      version    = optional(string)
      repository = optional(string)
      values     = optional(string, "{}")
    }))
    storage_classes = list(string)
    facts           = map(string)
    admin_enabled   = bool
    # sops-age, external-secrets or none.
    secret_management = optional(string, "none")
  })
}
