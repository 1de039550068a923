"""Let an environment go back to the last release that was verified there, and hold automatic promotion."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import promotion
from tasks.engine.context import environment_run_name


@flow(name="rollback", flow_run_name=environment_run_name, persist_result=False)
def rollback(reason: str = "") -> State[Any]:
    """Go back where every change can be undone; refused with the change that cannot. Repeated, it goes on.

    Args:
        reason: Why; kept with the run, the commit and the hold.
    """
    with promotion.promoting() as run:
        if run.busy:
            raise run.busy
        seen, back = promotion.look_back(environment=run.environment)
        to, why = promotion.way_back(seen, back), reason or "rollback"
        if promotion.wants_rollback(back):
            promotion.agree(run, seen, to, changes=back.changes, reason=why)
            promotion.hold(run, seen, reason=why)
            if branch := promotion.pin(run, seen, to, reason=why):
                return promotion.awaiting_merge(run, to, branch)
        promotion.deploy(run, seen, to, reason=why)
        return promotion.finish(run, to)
