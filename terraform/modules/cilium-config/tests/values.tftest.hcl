# The module has no provider: these runs only compute.
variables {
  cluster    = { name = "dev-1", id = 1 }
  pod_cidr   = "10.244.0.0/16"
  node_count = 3
  load_balancer = {
    mode  = "l2"
    pools = [{ name = "default", first = "10.0.0.200", last = "10.0.0.220" }]
  }
}

run "l2_announces_and_has_a_pool" {
  command = plan

  assert {
    condition     = output.values.l2announcements.enabled && !output.values.bgpControlPlane.enabled
    error_message = "mode l2 must enable announcements and leave BGP off"
  }
  assert {
    condition     = output.values.k8sServiceHost == "localhost" && output.values.k8sServicePort == 7445
    error_message = "Cilium must reach the API through KubePrism"
  }
  assert {
    condition     = [for one in output.manifests : one.kind] == ["CiliumLoadBalancerIPPool", "CiliumL2AnnouncementPolicy"]
    error_message = "a pool and an announcement policy are expected, nothing else"
  }
  assert {
    condition     = output.manifests[0].spec.blocks[0].stop == "10.0.0.220"
    error_message = "the pool must end at its last address"
  }
  assert {
    condition     = output.values.operator.replicas == 2
    error_message = "several nodes carry two operators"
  }
}

run "single_node_has_one_operator" {
  command = plan
  variables {
    node_count = 1
  }
  assert {
    condition     = output.values.operator.replicas == 1
    error_message = "two operators cannot be placed on one node"
  }
}

run "bgp_peers_with_every_router" {
  command = plan
  variables {
    load_balancer = {
      mode  = "bgp"
      pools = [{ name = "default", first = "10.0.0.200", last = "10.0.0.220" }]
      bgp   = { local_asn = 64512, peers = [{ name = "tor-1", address = "10.0.0.1", asn = 64513 }] }
    }
  }
  assert {
    condition     = output.values.bgpControlPlane.enabled && !output.values.l2announcements.enabled
    error_message = "mode bgp must enable BGP and no announcements"
  }
  assert {
    condition     = [for one in output.manifests : one.kind] == ["CiliumLoadBalancerIPPool", "CiliumBGPClusterConfig", "CiliumBGPPeerConfig", "CiliumBGPAdvertisement"]
    error_message = "BGP needs a cluster config, a peer config and an advertisement"
  }
  assert {
    condition     = output.manifests[1].spec.bgpInstances[0].peers[0].peerASN == 64513
    error_message = "the router's ASN must reach its peer"
  }
}

run "gateway_gets_a_listener_for_each_host" {
  command = plan
  variables {
    gateway = { domain = "dev-1.example.org", hosts = ["shop"] }
  }
  assert {
    condition     = [for one in output.gateway_manifests[0].spec.listeners : one.name] == ["http", "https-shop"]
    error_message = "a plain listener and one with TLS for the host are expected"
  }
  assert {
    condition     = output.gateway_manifests[0].metadata.annotations["cert-manager.io/cluster-issuer"] == "platform"
    error_message = "the issuer must be named on the Gateway"
  }
}
