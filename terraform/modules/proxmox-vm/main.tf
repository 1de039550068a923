# One virtual machine made from an image that already lies on its host's storage: no SSH, no snippets, no clone.
resource "proxmox_virtual_environment_vm" "this" {
  name        = var.name
  description = var.description
  vm_id       = var.vm_id
  node_name   = var.host
  pool_id     = var.pool_id
  # Proxmox stores tags sorted: any other order would show as a change for ever.
  tags = sort(var.tags)

  # A VM that moved to another host is moved back by a migration; without this it would be destroyed and made anew.
  migrate = true
  # Restarts drain the node first and therefore belong to flows: a change that needs one waits for it.
  reboot_after_update = false
  # There is no reason to wait for a guest that is about to be deleted, and without an agent it would not react.
  stop_on_destroy                      = true
  purge_on_destroy                     = true
  delete_unreferenced_disks_on_destroy = true

  started    = true
  on_boot    = var.on_boot
  protection = var.protection

  machine       = "q35" # PCI passthrough needs PCIe
  bios          = "seabios"
  scsi_hardware = "virtio-scsi-single" # one queue per disk, needed for iothread
  boot_order    = ["scsi0"]
  tablet_device = false # a pointer device that only costs CPU on a machine without a desktop

  operating_system {
    type = "l26"
  }

  smbios {
    uuid = var.uuid
  }

  cpu {
    cores = var.cpu.cores
    type  = var.cpu.type
  }

  memory {
    dedicated = var.memory_mib
  }

  agent {
    enabled = var.agent
    # The address is static and known: waiting for the agent to report it would cost up to 15 minutes per refresh.
    wait_for_ip {
      disabled = true
    }
  }

  startup {
    order      = var.startup.order
    up_delay   = var.startup.up_delay_s
    down_delay = 0
  }

  disk {
    interface    = "scsi0"
    datastore_id = var.system_disk.storage
    import_from  = var.system_disk.image
    size         = var.system_disk.size_gib
    file_format  = "raw"
    discard      = "on"
    iothread     = true
    ssd          = true
  }

  dynamic "disk" {
    for_each = var.data_disks
    content {
      interface    = "scsi${disk.key + 1}"
      datastore_id = disk.value.storage
      size         = disk.value.size_gib
      file_format  = "raw"
      discard      = "on"
      iothread     = true
      ssd          = disk.value.ssd
      # The name travels with the data: it shows in the guest, and the destruction guard sees when it changes places.
      serial = substr(disk.value.name, 0, 20)
    }
  }

  dynamic "network_device" {
    for_each = var.nics
    content {
      bridge      = network_device.value.bridge
      mac_address = upper(network_device.value.mac) # as Proxmox stores it
      vlan_id     = network_device.value.vlan
      mtu         = network_device.value.mtu
      model       = "virtio"
    }
  }

  dynamic "hostpci" {
    for_each = var.pci_devices
    content {
      device  = "hostpci${hostpci.key}"
      mapping = hostpci.value.mapping
      pcie    = hostpci.value.pcie
      rombar  = hostpci.value.rombar
      xvga    = hostpci.value.primary_gpu
    }
  }

  initialization {
    datastore_id = var.cloud_init.storage
    interface    = "ide2"

    dns {
      domain  = var.cloud_init.domain
      servers = var.cloud_init.dns
    }

    ip_config {
      ipv4 {
        address = var.cloud_init.address
        gateway = var.cloud_init.gateway
      }
    }
  }

  # `qm terminal` shows the Talos console.
  serial_device {}

  lifecycle {
    ignore_changes = [
      # Only read at creation: a newer image is for new machines, running ones are upgraded in place by talosctl.
      disk[0].import_from,
    ]
  }
}
