"""Let an environment go back to the last release that was verified there, and hold automatic promotion."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from infraflux.delivery.pipeline import Deploy, Merge
from infraflux.delivery.promotion import Rollback
from tasks import promotion
from tasks.engine.context import environment_run_name


@flow(name="rollback", flow_run_name=environment_run_name, persist_result=False)
def rollback(reason: str = "") -> State[Any]:
    """Go back if every change can be undone; otherwise refuse, naming the change that cannot. A repeated run continues.

    Args:
        reason: Why; kept with the run, the commit and the hold.
    """
    with promotion.promoting() as run:
        if run.busy:
            raise run.busy
        seen, back = promotion.plan_rollback(environment=run.environment)
        why = reason or "rollback"
        match back:
            case Rollback():
                promotion.agree(run, seen, back.to, changes=back.changes, reason=why)
                promotion.hold(run, back.current, reason=why)
                left = promotion.pin(run, seen, back.to, reason=why)
            case Deploy():
                left = back
        match left:
            case Merge():
                return promotion.await_merge(run, left)
            case Deploy():
                promotion.deploy(run, left, reason=why)
                return promotion.finish(run, left.release)
