locals {
  contract     = "v1"
  applications = var.application_repository

  # What docs/handoff.md promises: additions are new keys, anything else is a new contract version.
  facts = {
    contract            = local.contract
    environment         = var.cluster.environment
    cluster             = var.cluster.name
    domain              = var.cluster.domain
    issuer              = var.issuer
    kubernetesVersion   = var.cluster.kubernetes_version
    talosVersion        = var.cluster.talos_version
    loadBalancerPools   = var.load_balancer_pools
    storageClasses      = var.storage_classes
    namespaces          = try(local.applications.namespaces, [])
    gateway             = { name = "platform", namespace = "kube-system" }
    componentVersions   = { for name, one in var.components : name => one.version if one.enabled && one.version != null }
    componentsOff       = local.off
    applicationsProject = "applications"
  }

  off = sort([for name, one in var.components : name if !one.enabled])

  repository_facts = merge(
    {
      "infraflux.io/platform-repository" = var.platform_repository.url
      "infraflux.io/platform-revision"   = var.platform_repository.revision
      # With a slash at the end, or empty at the repository's root: it is put before a pattern.
      "infraflux.io/platform-prefix" = contains(["", "."], var.platform_repository.path) ? "" : "${trimsuffix(var.platform_repository.path, "/")}/"
    },
    var.chart_repository == null ? {} : { "infraflux.io/chart-repository" = var.chart_repository },
    local.applications == null ? {} : {
      "infraflux.io/application-repository" = local.applications.url
      "infraflux.io/application-revision"   = local.applications.revision
      "infraflux.io/application-prefix"     = contains(["", "."], local.applications.path) ? "" : "${trimsuffix(local.applications.path, "/")}/"
    },
  )

  component_facts = merge(
    # A pattern with alternatives; a name no directory has keeps it valid when nothing is off.
    { "infraflux.io/components-off" = "{${join(",", concat(["_none"], local.off))}}" },
    { for name, one in var.components : "version.infraflux.io/${name}" => one.version if one.version != null },
    { for name, one in var.components : "repository.infraflux.io/${name}" => one.repository if one.repository != null },
    { for name, one in var.components : "values.infraflux.io/${name}" => one.values if one.values != "{}" },
    { for name, one in var.components : "generated.infraflux.io/${name}" => one.generated if one.generated != "{}" },
    { "generated.infraflux.io/argocd" = jsonencode(local.values) },
    { for name, one in var.components : "manifests.infraflux.io/${name}" => one.manifests if one.manifests != "[]" },
  )

  values = {
    for key, value in {
      global     = { domain = "argocd.${var.cluster.domain}" }
      configs    = { for name, one in { cm = { "admin.enabled" = var.admin_enabled }, cmp = local.sops_plugin } : name => one if one != null }
      repoServer = local.sops_sidecar
    } : key => value if value != null
  }
}
