output "vm_id" {
  description = "Proxmox VM id, for example 10011"
  value       = proxmox_virtual_environment_vm.this.vm_id
}

output "host" {
  description = "Proxmox node that carries the VM now"
  value       = proxmox_virtual_environment_vm.this.node_name
}

output "uuid" {
  description = "SMBIOS UUID, by which the guest is recognised before it gets a configuration"
  value       = proxmox_virtual_environment_vm.this.smbios[0].uuid
}
