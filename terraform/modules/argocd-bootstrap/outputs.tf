output "values" {
  description = "Helm values of this cluster's Argo CD, merged over platform/infrastructure/argocd/{base,overlays/<env>}/values.yaml."
  value       = local.values
}

output "manifests" {
  description = "What InfraFlux applies at the handoff and owns after it: projects, application namespaces with the facts, the cluster Secret, the root Application; in this order."
  value = concat(
    [for one in concat([local.project_default, local.project_platform], local.fences) : jsondecode(jsonencode(one))],
    [for text in local.application_namespaces : jsondecode(text)],
    [jsondecode(jsonencode(local.cluster_secret)), jsondecode(jsonencode(local.root))],
  )

  precondition {
    condition = alltrue([
      for name in try(local.applications.namespaces, []) : !contains(var.reserved_namespaces, name) && !startswith(name, "kube-")
    ])
    error_message = "application_repository.namespaces names a platform namespace; choose others, such as apps."
  }
}

output "facts" {
  description = "The facts of the handoff contract, as the application repository sees them."
  value       = local.facts
}
