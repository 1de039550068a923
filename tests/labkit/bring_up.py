"""Talos of one cluster from blank machines, without a plan: for what is tested below the plan."""

from infraflux.core.outcomes import Outcome
from infraflux.operations import credentials, talos_secrets
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.node_labels import reconcile_labels


def bring_up(talos: TalosCluster) -> list[Outcome]:
    """Every step that `operations.execution.BOOTSTRAP` has, in its order; each says what it did."""
    outcomes = [*talos_secrets.ensure_secrets(talos.workspace), credentials.ensure_talosconfig(talos)]
    outcomes += [talos.configure_first_control_plane(), talos.bootstrap_etcd(), credentials.ensure_kubeconfig(talos)]
    return [*outcomes, *talos.join_nodes().values(), *reconcile_labels(talos).values()]
