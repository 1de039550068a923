output "nodes" {
  # Not the host: Proxmox HA moves machines, and an output that follows them would be a change in every plan.
  description = "The machines by name: VM id, role, address and the UUID they must show"
  value = {
    for name, node in var.nodes : name => {
      vm_id   = module.node[name].vm_id
      uuid    = module.node[name].uuid
      role    = node.role
      address = node.address
    }
  }
}
