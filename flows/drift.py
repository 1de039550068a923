"""Look at every cluster over all layers: machines, Talos, Kubernetes, GitOps. Changes nothing."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from infraflux.adapters.process import guard
from tasks import drift as looking
from tasks.masking import mask_logs
from tasks.run_context import run_name


@flow(name="drift", flow_run_name=run_name, persist_result=False)
def drift(cluster: str = "") -> State[Any]:
    """Report what is not as declared; a cluster that a deploy holds is skipped with the reason.

    Args:
        cluster: ENV or ENV/CLUSTER; everything where it is empty.
    """
    mask_logs()
    with guard():
        reports = looking.look(target=cluster)
        looking.publish(reports=reports)
        looking.tell(reports=reports)
    return looking.final_state(reports)
