variables {
  cluster    = { name = "dev-1", id = 1 }
  pod_cidr   = "10.244.0.0/16"
  node_count = 3
  load_balancer = {
    mode  = "l2"
    pools = [{ name = "default", first = "10.0.0.200", last = "10.0.0.220" }]
  }
}

run "refuses_an_id_beyond_255" {
  command = plan
  variables {
    cluster = { name = "dev-1", id = 256 }
  }
  expect_failures = [var.cluster]
}

run "refuses_host_bits_in_the_pod_cidr" {
  command = plan
  variables {
    pod_cidr = "10.244.1.0/16"
  }
  expect_failures = [var.pod_cidr]
}

run "refuses_bgp_without_peers" {
  command = plan
  variables {
    load_balancer = {
      mode  = "bgp"
      pools = [{ name = "default", first = "10.0.0.200", last = "10.0.0.220" }]
    }
  }
  expect_failures = [var.load_balancer]
}

run "refuses_a_pool_named_twice" {
  command = plan
  variables {
    load_balancer = {
      mode = "l2"
      pools = [
        { name = "default", first = "10.0.0.200", last = "10.0.0.210" },
        { name = "default", first = "10.0.0.211", last = "10.0.0.220" },
      ]
    }
  }
  expect_failures = [var.load_balancer]
}

run "refuses_an_unknown_mode" {
  command = plan
  variables {
    load_balancer = {
      mode  = "metallb"
      pools = [{ name = "default", first = "10.0.0.200", last = "10.0.0.220" }]
    }
  }
  expect_failures = [var.load_balancer]
}
