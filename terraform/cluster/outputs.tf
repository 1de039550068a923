output "nodes" {
  description = "The machines by name: VM id, role, address and the UUID they must show"
  value       = module.machines.nodes
}
