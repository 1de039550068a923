mock_provider "proxmox" {}

variables {
  name        = "dev-1-worker-1"
  vm_id       = 10021
  uuid        = "0f8fad5b-d9cb-469f-a165-70867728950e"
  host        = "pve1"
  pool_id     = "infraflux-dev"
  tags        = ["worker", "infraflux-dev-dev-1", "infraflux"]
  startup     = { order = 2 }
  cpu         = { cores = 4, type = "x86-64-v2-AES" }
  memory_mib  = 4096
  system_disk = { size_gib = 20, storage = "local-lvm", image = "local:import/talos.raw" }
  nics        = [{ bridge = "vmbr0", mac = "bc:24:11:00:00:01" }]
  cloud_init = {
    storage = "local-lvm"
    address = "10.0.0.21/24"
    gateway = "10.0.0.1"
    dns     = ["10.0.0.1"]
    domain  = "dev-1.example.org"
  }
}

run "tags_are_sorted_as_proxmox_stores_them" {
  command = plan

  assert {
    condition     = proxmox_virtual_environment_vm.this.tags == tolist(["infraflux", "infraflux-dev-dev-1", "worker"])
    error_message = "unsorted tags are a change in every plan"
  }
}

run "a_machine_that_moved_is_not_made_anew" {
  command = plan

  assert {
    condition     = proxmox_virtual_environment_vm.this.migrate
    error_message = "without migrate a changed host replaces the machine"
  }
}

run "nothing_waits_for_a_guest_agent" {
  command = plan

  assert {
    condition = (
      proxmox_virtual_environment_vm.this.agent[0].wait_for_ip[0].disabled
      && proxmox_virtual_environment_vm.this.stop_on_destroy
      && !proxmox_virtual_environment_vm.this.reboot_after_update
    )
    error_message = "an agent wait costs 15 minutes per refresh, a graceful stop 30, and a reboot belongs to a flow"
  }
}

run "data_disks_carry_their_name" {
  command = plan

  variables {
    data_disks = [
      { name = "etcd", size_gib = 10, storage = "fast" },
      { name = "longhorn-on-a-very-long-name", size_gib = 100, storage = "slow", ssd = false },
    ]
  }

  assert {
    condition = [
      for disk in proxmox_virtual_environment_vm.this.disk :
      [disk.interface, disk.datastore_id, disk.serial == null ? "" : disk.serial]
    ] == [["scsi0", "local-lvm", ""], ["scsi1", "fast", "etcd"], ["scsi2", "slow", "longhorn-on-a-very-l"]]
    error_message = "disks are told apart by interface and serial"
  }
}

run "the_mac_is_written_as_proxmox_writes_it" {
  command = plan

  assert {
    condition     = proxmox_virtual_environment_vm.this.network_device[0].mac_address == "BC:24:11:00:00:01"
    error_message = "lower case letters would be a change in every plan"
  }
}

run "nothing_needs_ssh" {
  command = plan

  assert {
    condition = alltrue([
      for disk in proxmox_virtual_environment_vm.this.disk : coalesce(disk.file_id, "none") == "none"
    ])
    error_message = "a disk's file_id is uploaded by SSH"
  }
}

run "refuses_a_vm_id_of_the_reserved_range" {
  command = plan

  variables {
    vm_id = 99
  }

  expect_failures = [var.vm_id]
}

run "refuses_upper_case_tags" {
  command = plan

  variables {
    tags = ["InfraFlux"]
  }

  expect_failures = [var.tags]
}

run "refuses_an_address_without_prefix" {
  command = plan

  variables {
    cloud_init = {
      storage = "local-lvm", address = "10.0.0.21", gateway = "10.0.0.1", dns = ["10.0.0.1"], domain = "example.org"
    }
  }

  expect_failures = [var.cloud_init]
}

run "refuses_data_disks_that_cannot_be_told_apart" {
  command = plan

  variables {
    data_disks = [
      { name = "twenty-characters-xx-a", size_gib = 1, storage = "fast" },
      { name = "twenty-characters-xx-b", size_gib = 1, storage = "fast" },
    ]
  }

  expect_failures = [var.data_disks]
}
