locals {
  # The registration of the cluster in its own Argo CD; it holds facts, not credentials.
  cluster_secret = {
    apiVersion = "v1"
    kind       = "Secret"
    type       = "Opaque"
    metadata = {
      name      = "cluster-${var.cluster.name}"
      namespace = "argocd"
      labels = {
        "argocd.argoproj.io/secret-type" = "cluster"
        "infraflux.io/contract"          = local.contract
        "infraflux.io/environment"       = var.cluster.environment
        "infraflux.io/cluster"           = var.cluster.name
        "infraflux.io/applications"      = local.applications == null ? "disabled" : "enabled"
      }
      annotations = merge(var.facts, local.repository_facts, local.component_facts, {
        "infraflux.io/facts" = jsonencode(local.facts)
      })
    }
    data = {
      name   = base64encode(var.cluster.name)
      server = base64encode(local.in_cluster)
      config = base64encode(jsonencode({ tlsClientConfig = { insecure = false } }))
    }
  }

  application_namespaces = flatten([for name in try(local.applications.namespaces, []) : [
    jsonencode({
      apiVersion = "v1"
      kind       = "Namespace"
      metadata = {
        name = name
        labels = {
          "infraflux.io/owner"                         = "applications"
          "pod-security.kubernetes.io/enforce"         = "baseline"
          "pod-security.kubernetes.io/warn"            = "restricted"
          "pod-security.kubernetes.io/enforce-version" = "latest"
        }
      }
    }),
    jsonencode({
      apiVersion = "v1"
      kind       = "ConfigMap"
      metadata   = { name = "infraflux-facts", namespace = name }
      data = {
        contract    = local.contract
        environment = var.cluster.environment
        cluster     = var.cluster.name
        domain      = var.cluster.domain
        issuer      = var.issuer
        "facts"     = jsonencode(local.facts)
      }
    }),
  ]])

  # No finalizer: whoever deletes the root does not thereby delete the platform.
  root = {
    apiVersion = "argoproj.io/v1alpha1"
    kind       = "Application"
    metadata   = { name = "root", namespace = "argocd", labels = { "infraflux.io/owner" = "infraflux" } }
    spec = {
      project     = "platform"
      destination = { server = local.in_cluster, namespace = "argocd" }
      source = {
        repoURL        = var.platform_repository.url
        targetRevision = var.platform_repository.revision
        path           = "${local.repository_facts["infraflux.io/platform-prefix"]}bootstrap"
        # Without effect here; any option says that it is kustomize's, and no plugin is sent the whole repository first.
        kustomize = { ignoreMissingComponents = true }
      }
      syncPolicy = {
        automated = { prune = true, selfHeal = true }
        # The API server refuses unknown fields in a server-side apply by itself; asking before only costs time.
        syncOptions = ["ServerSideApply=true", "Validate=false"]
        retry       = { limit = 20, backoff = { duration = "5s", factor = 2, maxDuration = "1m" } }
      }
    }
  }
}
