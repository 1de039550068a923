# The module has no provider: these runs only compute.
variables {
  cluster = {
    environment        = "dev"
    name               = "dev-1"
    domain             = "dev-1.example.org"
    kubernetes_version = "v1.36.3"
    talos_version      = "v1.13.9"
  }
  platform_repository    = { url = "https://git.example.org/infraflux.git" }
  application_repository = { url = "https://git.example.org/north-star.git", namespaces = ["apps"] }
  components = {
    cilium   = { version = "1.19.3", generated = "{\"cluster\":{\"id\":1}}", manifests = "[{\"kind\":\"X\"}]" }
    longhorn = { enabled = false, version = "1.11.2" }
  }
}

run "objects_come_in_the_order_they_are_applied" {
  command = plan

  assert {
    condition = [for one in output.manifests : "${one.kind}/${one.metadata.name}"] == [
      "AppProject/default", "AppProject/platform", "AppProject/applications",
      "Namespace/apps", "ConfigMap/infraflux-facts", "Secret/cluster-dev-1", "Application/root",
    ]
    error_message = "projects, namespaces with facts, the cluster Secret and the root Application are expected in this order"
  }
}

run "cluster_secret_carries_the_facts" {
  command = plan

  assert {
    condition     = output.manifests[5].metadata.annotations["version.infraflux.io/cilium"] == "1.19.3"
    error_message = "the chart version of a component must be a fact"
  }
  assert {
    condition     = jsondecode(output.manifests[5].metadata.annotations["generated.infraflux.io/cilium"]).cluster.id == 1
    error_message = "generated values must travel with the Secret"
  }
  assert {
    condition     = output.manifests[5].metadata.annotations["infraflux.io/components-off"] == "{_none,longhorn}"
    error_message = "switched-off components must be excluded"
  }
  assert {
    condition     = output.manifests[5].metadata.labels["infraflux.io/contract"] == "v1"
    error_message = "the contract version is what ApplicationSets select by"
  }
  assert {
    condition     = output.facts.componentVersions == { cilium = "1.19.3" }
    error_message = "versions of enabled components belong to the contract's facts"
  }
  assert {
    condition     = base64decode(output.manifests[5].data.config) == "{\"tlsClientConfig\":{\"insecure\":false}}"
    error_message = "the Secret must hold no credential"
  }
}

run "application_project_is_fenced" {
  command = plan

  assert {
    condition     = contains([for one in output.manifests[2].spec.destinations : one.namespace], "!kube-*")
    error_message = "kube-* must be refused"
  }
  assert {
    condition     = output.manifests[2].spec.sourceRepos == ["https://git.example.org/north-star.git"]
    error_message = "only the application repository may be a source"
  }
  assert {
    condition     = output.manifests[2].spec.clusterResourceWhitelist == [{ group = "", kind = "Namespace", name = "apps-*" }]
    error_message = "no cluster-wide object but its own namespaces"
  }
  assert {
    condition     = output.manifests[0].spec.sourceRepos == [] && output.manifests[0].spec.destinations == []
    error_message = "the default project must allow nothing"
  }
}

run "without_an_application_repository_there_is_no_fence_to_pass" {
  command = plan
  variables {
    application_repository = null
  }
  assert {
    condition     = [for one in output.manifests : one.metadata.name] == ["default", "platform", "cluster-dev-1", "root"]
    error_message = "no application project and no namespaces are expected"
  }
  assert {
    condition     = output.manifests[2].metadata.labels["infraflux.io/applications"] == "disabled"
    error_message = "the applications' set must not match this cluster"
  }
}

run "a_mirror_closes_every_other_source" {
  command = plan
  variables {
    chart_repository = "https://charts.example.org"
  }
  assert {
    condition     = output.manifests[1].spec.sourceRepos == ["https://git.example.org/infraflux.git", "https://charts.example.org"]
    error_message = "with a mirror the platform project must name it and nothing else"
  }
}

run "sops_decrypts_only_where_it_is_wanted" {
  command = plan
  variables {
    secret_management = "sops-age"
  }
  assert {
    condition     = output.values.configs.cmp.plugins.sops.discover.find.glob == "*.sops.yaml"
    error_message = "the plugin must find encrypted files by itself"
  }
  assert {
    condition     = output.values.repoServer.volumes[2].secret.secretName == "sops-age"
    error_message = "the identity is the Secret that the handoff delivers"
  }
  assert {
    condition     = output.values.configs.cm["admin.enabled"] == false
    error_message = "the plugin must not replace other values"
  }
  assert {
    condition     = jsondecode(output.manifests[5].metadata.annotations["generated.infraflux.io/argocd"]) == jsondecode(jsonencode(output.values))
    error_message = "Argo CD must render what the first install rendered"
  }
}

run "without_sops_there_is_no_plugin" {
  command = plan
  assert {
    condition     = keys(output.values) == ["configs", "global"] && keys(output.values.configs) == ["cm"]
    error_message = "no plugin and no sidecar are expected"
  }
}

run "own_keys_win_over_extra_facts" {
  command = plan
  variables {
    facts = { "infraflux.io/platform-revision" = "evil", "example.org/team" = "blue" }
  }
  assert {
    condition     = output.manifests[5].metadata.annotations["infraflux.io/platform-revision"] == "main" && output.manifests[5].metadata.annotations["example.org/team"] == "blue"
    error_message = "extra facts are added, never override the contract"
  }
}
