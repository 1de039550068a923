"""What types cannot say: rules over several values of one cluster. One function per truth, named by it."""

from collections.abc import Collection, Iterator

from infraflux.config.checks import (
    foundations,
    machines,
    network,
    overridden,
    patches,
    places,
    platform,
    pod_blocks,
    secrets,
    talos,
    values,
    versions,
)
from infraflux.config.checks.finding import Check, Finding, Subject

CHECKS: tuple[Check, ...] = (
    network.vip_and_gateway_live_in_node_network,
    network.cluster_networks_do_not_overlap,
    network.service_network_is_not_too_wide,
    network.load_balancer_pools_are_free,
    network.bgp_has_peers_and_l2_has_none,
    machines.control_planes_are_an_odd_number,
    machines.something_takes_the_workloads,
    machines.pools_say_how_many_nodes,
    machines.pools_have_an_address_for_each_node,
    machines.machines_are_big_enough_for_talos,
    machines.nodes_are_pinned_to_known_hosts,
    machines.control_planes_are_spread_over_hosts,
    machines.nodes_share_nothing,
    machines.node_addresses_are_free,
    machines.address_ranges_leave_each_other_room,
    machines.vm_ids_are_in_range,
    machines.derived_names_are_short_enough,
    machines.machines_have_room_for_their_parts,
    machines.data_disks_can_be_told_apart,
    platform.components_have_a_directory,
    platform.first_installs_are_enabled,
    platform.applications_stay_out_of_platform_namespaces,
    platform.node_patches_name_a_node,
    platform.patches_have_one_source_that_exists,
    patches.patches_are_documents_of_talos,
    platform.the_api_is_reached_safely,
    platform.promotion_windows_can_open,
    platform.an_environment_is_not_its_own_source,
    talos.longhorn_has_its_extensions,
    talos.workers_are_not_tainted_by_patch,
    talos.no_worker_is_tainted_by_its_own_patch,
    versions.talos_runs_this_kubernetes,
    versions.charts_run_on_this_kubernetes,
    foundations.patches_leave_the_foundations,
    foundations.host_dns_is_turned_off_whole_or_not_at_all,
    foundations.patched_images_are_of_the_pinned_versions,
    foundations.roles_stay_what_they_are,
    foundations.names_of_nodes_stay_what_they_are,
    foundations.no_volume_waits_for_a_tpm,
    values.cilium_values_follow_the_configuration,
    values.cilium_values_leave_services_working,
    values.cilium_finds_the_api,
    values.cilium_lets_host_dns_answer,
    pod_blocks.the_mask_is_given_once,
    pod_blocks.pod_network_has_a_block_per_node,
    pod_blocks.blocks_hold_the_pods_of_a_node,
    places.what_must_be_reached_is_outside_the_cluster_networks,
    places.no_node_sits_on_what_must_be_reached,
    places.load_balancer_addresses_can_be_handed_out,
    places.load_balancer_pools_leave_room_for_nodes,
    places.the_node_network_can_hold_nodes,
    places.peers_are_named_once,
    overridden.no_cluster_takes_the_shared_state,
    overridden.a_schematic_is_given_or_described,
    overridden.a_certificate_is_checked_or_not,
    overridden.secret_zero_is_there_where_it_is_used,
    overridden.longhorn_uses_the_data_disks,
    secrets.patches_refer_to_secrets,
    secrets.values_hold_no_reference_and_no_secret,
    secrets.addresses_of_repositories_hold_no_password,
    secrets.recipients_are_whole,
)
"""Every check, in the order in which its findings are reported."""


def run_checks(subject: Subject, *, valid: Collection[str]) -> Iterator[Finding]:
    """The findings of every rule whose sections are valid."""
    for check in CHECKS:
        if check.sections <= set(valid):
            yield from check.rule(subject)


__all__ = ["CHECKS", "Finding", "run_checks"]
