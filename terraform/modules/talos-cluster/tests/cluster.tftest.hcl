mock_provider "proxmox" {}

variables {
  environment        = "dev"
  name               = "dev-1"
  hosts              = ["pve1", "pve2", "pve3"]
  pool_id            = "infraflux-dev"
  image              = "local:import/talos.raw"
  cloud_init_storage = "local-lvm"
  cpu_type           = "x86-64-v2-AES"
  network = {
    bridge        = "vmbr0"
    mtu           = 1500
    prefix_length = 24
    gateway       = "10.0.0.1"
    dns           = ["10.0.0.1"]
    domain        = "dev-1.example.org"
  }
  nodes = {
    dev-1-cp-1 = {
      role        = "control-plane", host = "pve1", vm_id = 10011, address = "10.0.0.11", mac = "bc:24:11:00:00:11"
      uuid        = "0f8fad5b-d9cb-469f-a165-708677289511", cores = 2, memory_mib = 4096, tags = ["infraflux"]
      system_disk = { size_gib = 20, storage = "local-lvm" }
    }
    dev-1-cp-2 = {
      role        = "control-plane", host = "pve2", vm_id = 10012, address = "10.0.0.12", mac = "bc:24:11:00:00:12"
      uuid        = "0f8fad5b-d9cb-469f-a165-708677289512", cores = 2, memory_mib = 4096, tags = ["infraflux"]
      system_disk = { size_gib = 20, storage = "local-lvm" }
    }
    dev-1-cp-3 = {
      role        = "control-plane", host = "pve3", vm_id = 10013, address = "10.0.0.13", mac = "bc:24:11:00:00:13"
      uuid        = "0f8fad5b-d9cb-469f-a165-708677289513", cores = 2, memory_mib = 4096, tags = ["infraflux"]
      system_disk = { size_gib = 20, storage = "local-lvm" }
    }
    dev-1-worker-1 = {
      role        = "worker", host = "pve1", vm_id = 10021, address = "10.0.0.21", mac = "bc:24:11:00:00:21"
      uuid        = "0f8fad5b-d9cb-469f-a165-708677289521", cores = 4, memory_mib = 4096, tags = ["infraflux"]
      system_disk = { size_gib = 20, storage = "local-lvm" }
      extra_nics  = [{ bridge = "vmbr1", mac = "bc:24:11:00:01:21", vlan = 30, mtu = 9000 }]
      cpu_type    = "host"
    }
  }
}

run "without_ha_no_rule_is_made" {
  command = plan

  assert {
    condition     = length(proxmox_haresource.node) + length(proxmox_harule.hosts) == 0
    error_message = "HA objects without HA"
  }
}

run "ha_spreads_control_planes_and_keeps_to_the_hosts" {
  command = apply

  variables {
    ha = true
  }

  assert {
    condition     = length(proxmox_haresource.node) == 4
    error_message = "every machine is an HA resource"
  }

  assert {
    condition     = proxmox_harule.control_planes_apart[0].resources == toset(["vm:10011", "vm:10012", "vm:10013"])
    error_message = "all control planes, and only they, keep apart"
  }

  assert {
    condition     = toset(keys(proxmox_harule.hosts[0].nodes)) == toset(["pve1", "pve2", "pve3"])
    error_message = "machines may only be on the environment's hosts"
  }
}

run "an_impossible_spread_is_not_asked_for" {
  command = plan

  variables {
    ha    = true
    hosts = ["pve1", "pve2"]
  }

  assert {
    condition     = length(proxmox_harule.control_planes_apart) == 0
    error_message = "three control planes cannot be apart on two hosts: Proxmox would not start one of them"
  }

  expect_failures = [check.ha_has_quorum, check.control_planes_are_spread]
}

run "warns_about_control_planes_on_one_host" {
  command = plan

  variables {
    placement = { dev-1-cp-2 = "pve1" }
  }

  expect_failures = [check.control_planes_are_spread]
}

run "a_node_with_two_cards_is_planned" {
  command = plan

  assert {
    condition     = output.nodes["dev-1-worker-1"].vm_id == 10021
    error_message = "cards with and without VLAN or MTU go into one list"
  }
}

run "refuses_an_unknown_role" {
  command = plan

  variables {
    nodes = {
      dev-1-x = {
        role        = "master", host = "pve1", vm_id = 10011, address = "10.0.0.11", mac = "bc:24:11:00:00:11"
        uuid        = "0f8fad5b-d9cb-469f-a165-708677289511", cores = 2, memory_mib = 4096, tags = ["infraflux"]
        system_disk = { size_gib = 20, storage = "local-lvm" }
      }
    }
  }

  expect_failures = [var.nodes]
}
