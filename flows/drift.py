"""Check every cluster over all layers: machines, Talos, Kubernetes, GitOps. Changes nothing by itself."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import drift as checks
from tasks.engine.context import acting, run_name
from tasks.repair import repair


@flow(name="drift", flow_run_name=run_name, persist_result=False)
def drift(cluster: str = "", fix: bool = False, full: bool = False) -> State[Any]:
    """Report what differs from Git; a cluster that a deploy holds is skipped, with the reason.

    Args:
        cluster: ENV or ENV/CLUSTER; all clusters if empty.
        fix: Start a deploy of each drifted cluster, where its policy.drift.fix covers all that was found.
        full: Let Terraform plan every stack of machines, even where nothing has changed since its last full plan.
    """
    with acting(cluster or "fleet"), checks.one_check_of(cluster) as busy:
        if busy:
            return checks.passed_over(cluster, busy)
        reports = checks.check(target=cluster, full=full)
        checks.publish(reports=reports)
        checks.notify_channels(reports=reports)
        repairs = repair(reports=reports) if fix else {}
    return checks.final_state(reports, repairs)
