locals {
  in_cluster = "https://kubernetes.default.svc"

  project_platform = {
    apiVersion = "argoproj.io/v1alpha1"
    kind       = "AppProject"
    metadata   = { name = "platform", namespace = "argocd" }
    spec = {
      description = "The platform itself: cluster-wide rights, only from the platform repository and the chart repositories"
      # With a mirror nothing else can be pulled from. Without one the charts' upstreams are as open as component.yaml,
      # which lives in the platform repository and is reviewed there.
      sourceRepos = var.chart_repository == null ? ["*"] : distinct(concat(
        [var.platform_repository.url, var.chart_repository],
        [for one in values(var.components) : one.repository if one.repository != null],
      ))
      destinations             = [{ server = local.in_cluster, namespace = "*" }]
      clusterResourceWhitelist = [{ group = "*", kind = "*" }]
    }
  }

  # Denials come last and win: a project matches when one pattern allows and none refuses.
  fences = local.applications == null ? [] : [{
    apiVersion = "argoproj.io/v1alpha1"
    kind       = "AppProject"
    metadata   = { name = "applications", namespace = "argocd" }
    spec = {
      description = "The application repository: its own namespaces and nothing of the cluster"
      sourceRepos = [local.applications.url]
      destinations = concat(
        flatten([for name in local.applications.namespaces : [
          { server = local.in_cluster, namespace = name },
          { server = local.in_cluster, namespace = "${name}-*" },
        ]]),
        [for name in sort(setunion(var.reserved_namespaces, ["kube-*"])) : { server = local.in_cluster, namespace = "!${name}" }],
      )
      clusterResourceWhitelist = [
        for name in local.applications.namespaces : { group = "", kind = "Namespace", name = "${name}-*" }
      ]
      # Its limits are the platform's to set, and it makes no Applications: those could name another project.
      namespaceResourceBlacklist = [
        { group = "", kind = "ResourceQuota" },
        { group = "", kind = "LimitRange" },
        { group = "argoproj.io", kind = "*" },
      ]
    }
  }]

  # Argo CD makes a project `default` that allows everything; an Application that names no project must not use that.
  project_default = {
    apiVersion = "argoproj.io/v1alpha1"
    kind       = "AppProject"
    metadata   = { name = "default", namespace = "argocd" }
    spec       = { description = "Allows nothing: every Application names its project", sourceRepos = [], destinations = [] }
  }
}
