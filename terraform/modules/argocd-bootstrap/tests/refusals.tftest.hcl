variables {
  cluster = {
    environment        = "dev"
    name               = "dev-1"
    domain             = "dev-1.example.org"
    kubernetes_version = "v1.36.3"
    talos_version      = "v1.13.9"
  }
  platform_repository = { url = "https://git.example.org/infraflux.git" }
}

run "refuses_a_platform_namespace_for_applications" {
  command = plan
  variables {
    application_repository = { url = "https://git.example.org/a.git", namespaces = ["monitoring"] }
  }
  expect_failures = [output.manifests]
}

run "refuses_a_repository_that_runs_code" {
  command = plan
  variables {
    platform_repository = { url = "ext::sh -c id" }
  }
  expect_failures = [var.platform_repository]
}

run "refuses_a_path_out_of_the_repository" {
  command = plan
  variables {
    platform_repository = { url = "https://git.example.org/infraflux.git", path = "../other" }
  }
  expect_failures = [var.platform_repository]
}

run "refuses_to_switch_cilium_off" {
  command = plan
  variables {
    components = { cilium = { enabled = false } }
  }
  expect_failures = [var.components]
}

run "refuses_values_that_are_not_json" {
  command = plan
  variables {
    components = { monitoring = { values = "a: 1" } }
  }
  expect_failures = [var.components]
}
