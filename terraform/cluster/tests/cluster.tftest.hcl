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
      vm_id = 10011, host = "pve1", role = "control-plane", address = "10.0.0.11"
      uuid  = "0f8fad5b-d9cb-469f-a165-708677289511"
    }
    error_message = "later steps find and recognise the machine by these"
  }
}
