# Warnings, not errors: a lab on one host is a fair wish, and it should still say what it is not.

check "control_planes_are_odd" {
  assert {
    condition     = length(local.control_planes) % 2 == 1
    error_message = "${length(local.control_planes)} control planes: an even number tolerates no more failures than one less."
  }
}

check "control_planes_are_spread" {
  assert {
    condition = length(distinct([for name in local.control_planes : lookup(var.placement, name, var.nodes[name].host)])) == min(
      length(local.control_planes), length(var.hosts)
    )
    error_message = "Control planes share a host although others are free: one host's failure can cost the quorum."
  }
}

check "ha_has_quorum" {
  assert {
    condition     = !var.ha || length(var.hosts) >= 3
    error_message = "Proxmox HA needs three hosts for a quorum, ${length(var.hosts)} are named."
  }
}
