"""Let an environment run the release that the one before it verified: gates, approval, pin in Git, deploy, verify."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from infraflux.core.outcomes import Noop
from infraflux.delivery.pipeline import Deploy, Merge, Pin, Refused, Wait
from tasks import promotion
from tasks.engine.context import environment_run_name


@flow(name="promote", flow_run_name=environment_run_name, persist_result=False)
def promote(release: str = "", automatic: bool = False, reason: str = "", source_event: str = "") -> State[Any]:
    """Promote a release to this deployment's environment. A repeated run continues from there, or says why not.

    Args:
        release: Which release; if empty, the newest that is verified upstream.
        automatic: Started by an event or a schedule; holds, rejections and `mode: manual` stop it.
        reason: Why; kept with the run and the commit.
        source_event: Id of the event that started it; only for the record: decisions rest on the ledger.
    """
    with promotion.promoting() as run:
        if run.busy:
            return promotion.wait_for_turn(run)
        seen = promotion.check_gates(
            environment=run.environment, release=release, automatic=automatic, run=run.run.flow_run_id
        )
        why = reason or (f"event {source_event}" if source_event else "")
        match seen.step:
            case Noop() | Wait() | Refused():
                return promotion.settle(run, seen)
            case Pin(wanted, verdict):
                promotion.agree(run, seen, wanted, changes=verdict.changes, reason=why)
                left = promotion.pin(run, seen, wanted, reason=why)
            case Deploy():
                left = seen.step
        match left:
            case Merge():
                return promotion.await_merge(run, left)
            case Deploy():
                promotion.deploy(run, left, reason=why)
                return promotion.finish(run, left.release)
