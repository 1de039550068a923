"""Let an environment run the release that the one before it proved: gates, approval, pin in Git, deploy, verified."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import promotion
from tasks.engine.context import environment_run_name


@flow(name="promote", flow_run_name=environment_run_name, persist_result=False)
def promote(release: str = "", automatic: bool = False, reason: str = "", source_event: str = "") -> State[Any]:
    """Promote a release to this deployment's environment. Repeated, it goes on where it stands or says why not.

    Args:
        release: Which release; the newest that is verified upstream where it is empty.
        automatic: Started by an event or a schedule; holds, rejections and `mode: manual` stop it.
        reason: Why; kept with the run and the commit.
        source_event: Id of the event that started it; only for the record, the ledger is what is believed.
    """
    with promotion.promoting() as run:
        if run.busy:
            return promotion.wait_for_turn(run)
        seen = promotion.look(
            environment=run.environment, release=release, automatic=automatic, run=run.run.flow_run_id
        )
        wanted, why = seen.release, reason or (f"event {source_event}" if source_event else "")
        if wanted is None or not (promotion.wants_pin(seen) or promotion.wants_deploy(seen)):
            return promotion.settle(run, seen)
        if promotion.wants_pin(seen):
            promotion.agree(run, seen, wanted, changes=seen.verdict.changes if seen.verdict else (), reason=why)
            if branch := promotion.pin(run, seen, wanted, reason=why):
                return promotion.awaiting_merge(run, wanted, branch)
        promotion.deploy(run, seen, wanted, reason=why)
        return promotion.finish(run, wanted)
