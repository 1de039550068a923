variable "cluster" {
  description = "The cluster's facts, for example { environment = \"dev\", name = \"dev-1\", domain = \"dev-1.example.org\", kubernetes_version = \"v1.36.3\", talos_version = \"v1.13.9\" }."
  type = object({
    environment        = string
    name               = string
    domain             = string
    kubernetes_version = string
    talos_version      = string
  })

  validation {
    condition     = alltrue([for text in [var.cluster.environment, var.cluster.name] : can(regex("^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$", text))])
    error_message = "cluster.environment and cluster.name must be 1 to 32 characters of a-z, 0-9 and -, neither beginning nor ending with -."
  }
  validation {
    condition     = can(regex("^[a-z0-9][-a-z0-9.]*\\.[-a-z0-9]+$", var.cluster.domain))
    error_message = "cluster.domain must be a DNS name such as dev-1.example.org."
  }
}

variable "platform_repository" {
  description = "Where platform/ lives: url, revision, and path of the directory that holds infrastructure/ and bootstrap/, for example { url = \"https://git.example.org/infraflux.git\" }."
  type = object({
    url      = string
    revision = optional(string, "main")
    path     = optional(string, "platform")
  })

  validation {
    condition     = can(regex("^(https?://|ssh://|[A-Za-z0-9_][A-Za-z0-9._+-]*@)", var.platform_repository.url))
    error_message = "platform_repository.url must be an https or ssh URL."
  }
  validation {
    condition     = !startswith(var.platform_repository.path, "/") && !strcontains(var.platform_repository.path, "..")
    error_message = "platform_repository.path must stay inside the repository."
  }
}

variable "application_repository" {
  description = "The application repository and the namespaces it may use (`shop` allows shop and shop-*), or null for none, for example { url = \"https://git.example.org/north-star.git\", namespaces = [\"apps\"] }."
  type = object({
    url        = string
    revision   = optional(string, "main")
    path       = optional(string, ".")
    namespaces = list(string)
  })
  default = null

  validation {
    condition     = var.application_repository == null || can(regex("^(https?://|ssh://|[A-Za-z0-9_][A-Za-z0-9._+-]*@)", var.application_repository.url))
    error_message = "application_repository.url must be an https or ssh URL."
  }
  validation {
    condition     = var.application_repository == null || !startswith(try(var.application_repository.path, ""), "/") && !strcontains(try(var.application_repository.path, ""), "..")
    error_message = "application_repository.path must stay inside the repository."
  }
  validation {
    condition     = var.application_repository == null || length(try(var.application_repository.namespaces, [])) > 0
    error_message = "application_repository.namespaces must name at least one namespace."
  }
}

variable "reserved_namespaces" {
  description = "Namespaces the application repository may never touch; kube-* always are."
  type        = set(string)
  default = [
    "argocd", "cert-manager", "cilium", "default", "external-dns", "external-secrets", "gateway",
    "longhorn-system", "monitoring", "velero",
  ]
}

variable "chart_repository" {
  description = "One repository that mirrors every chart, for example \"https://charts.example.org\"; null for each component's upstream."
  type        = string
  default     = null
}

variable "components" {
  description = "What this cluster says of the directories in platform/infrastructure, by component: enabled, chart version, repository, Helm values as JSON; `generated` and `manifests` are outputs of other modules as JSON. A directory not named here is on, at its own version."
  type = map(object({
    enabled    = optional(bool, true)
    version    = optional(string)
    repository = optional(string)
    values     = optional(string, "{}")
    generated  = optional(string, "{}")
    manifests  = optional(string, "[]")
  }))
  default = {}

  validation {
    condition     = alltrue([for one in values(var.components) : can(jsondecode(one.values)) && can(jsondecode(one.generated)) && can(jsondecode(one.manifests))])
    error_message = "components: values, generated and manifests must be JSON."
  }
  validation {
    condition     = alltrue([for name in ["cilium", "argocd"] : try(var.components[name].enabled, true)])
    error_message = "components: cilium and argocd cannot be switched off; a cluster without them cannot be handed over."
  }
}

variable "load_balancer_pools" {
  description = "Address pools for the application repository to know, for example [{ name = \"default\", first = \"10.0.0.200\", last = \"10.0.0.220\" }]."
  type        = list(object({ name = string, first = string, last = string }))
  default     = []
}

variable "storage_classes" {
  description = "Storage classes the cluster offers, the default one first, for example [\"longhorn\"]."
  type        = list(string)
  default     = []
}

variable "issuer" {
  description = "ClusterIssuer for certificates of this cluster's domain."
  type        = string
  default     = "platform"
}

variable "facts" {
  description = "Further annotations of the cluster Secret, for example { \"example.org/team\" = \"blue\" }; the contract's own keys win."
  type        = map(string)
  default     = {}
}

variable "secret_management" {
  description = "How secrets get from Git into the cluster: sops-age (Argo CD decrypts them), external-secrets or none."
  type        = string
  default     = "none"

  validation {
    condition     = contains(["sops-age", "external-secrets", "none"], var.secret_management)
    error_message = "secret_management must be sops-age, external-secrets or none."
  }
}

variable "sops_image" {
  description = "Image with the sops program at /usr/local/bin/sops and `cp`."
  type        = string
  default     = "ghcr.io/getsops/sops:v3.13.3-alpine"
}

variable "admin_enabled" {
  description = "Whether Argo CD's built-in admin user may log in."
  type        = bool
  default     = false
}
