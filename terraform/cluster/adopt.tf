# A machine that a killed run created but never recorded becomes part of the state through a reviewed plan.
import {
  for_each = var.adopt

  to = module.machines.module.node[each.key].proxmox_virtual_environment_vm.this
  id = each.value
}
