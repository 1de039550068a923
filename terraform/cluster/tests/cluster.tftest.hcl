mock_provider "proxmox" {}

variables {
  environment = "dev"
  name        = "dev-1"
  protection  = false
  proxmox = {
    endpoint           = "https://127.0.0.1:8006"
    insecure           = false
    hosts              = ["pve1"]
    pool               = "infraflux-dev"
    cloud_init_storage = "local-lvm"
    cpu_type           = "x86-64-v2-AES"
    ha                 = false
  }
  network = {
    bridge = "vmbr0", mtu = 1500, prefix_length = 24, gateway = "10.0.0.1", dns = ["10.0.0.1"], domain = "example.org"
  }
  image = { volume = "local:import/talos.raw", agent = true }
  platform = {
    cluster_id          = 1, domain = "dev-1.example.org", kubernetes_version = "v1.36.3", talos_version = "v1.13.9"
    pod_cidr            = "10.244.0.0/16"
    load_balancer       = { mode = "l2", pools = [{ name = "default", first = "10.0.0.200", last = "10.0.0.219" }] }
    platform_repository = { url = "https://git.example.org/infraflux.git", revision = "main", path = "platform" }
    components          = { cilium = { enabled = true, version = "1.19.3" } }
    storage_classes     = [], facts = {}, admin_enabled = false
  }
  nodes = {
    dev-1-cp-1 = {
      role        = "control-plane", host = "pve1", vm_id = 10011, address = "10.0.0.11", mac = "bc:24:11:00:00:11"
      uuid        = "0f8fad5b-d9cb-469f-a165-708677289511", cores = 2, memory_mib = 4096, tags = ["infraflux"]
      system_disk = { size_gib = 20, storage = "local-lvm" }
      data_disks  = [], extra_nics = [], pci_devices = []
    }
  }
}

run "nodes_come_out_with_their_identity" {
  command = plan

  assert {
    condition = output.nodes["dev-1-cp-1"] == {
      vm_id = 10011, role = "control-plane", address = "10.0.0.11"
      uuid  = "0f8fad5b-d9cb-469f-a165-708677289511"
    }
    error_message = "later steps find and recognise the machine by these"
  }
}

run "the_platform_comes_out_of_the_same_plan" {
  command = plan

  assert {
    condition     = output.platform.values.cilium.operator.replicas == 1
    error_message = "Cilium must be told how many nodes there are"
  }
  assert {
    condition = jsondecode(
      [for one in output.platform.manifests : one if one.kind == "Secret"][0].metadata.annotations["generated.infraflux.io/cilium"]
    ) == jsondecode(jsonencode(output.platform.values.cilium))
    error_message = "Argo CD must get the very values of the first install"
  }
}
