output "nodes" {
  description = "The machines by name: VM id, host, role, address and the UUID they must show"
  value = {
    for name, node in var.nodes : name => {
      vm_id   = module.node[name].vm_id
      host    = module.node[name].host
      uuid    = module.node[name].uuid
      role    = node.role
      address = node.address
    }
  }
}
