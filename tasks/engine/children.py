"""Runs that a flow starts and waits for: deployments on other queues, so that parent and child never wait for the same
slot."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun

from infraflux.core.clock import Clock, NotYet, SystemClock, wait_until
from infraflux.core.errors import Permanent, Retryable
from tasks.engine.step import log_line

POLL_S = 2.0
"""Between two looks at a child; a deploy takes minutes."""
DEADLINE_S = 6 * 3600.0
"""Longer than the slowest deploy with an approval in it; a child that takes longer goes on without its parent."""
OVER = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


@dataclass(frozen=True)
class ChildEnded:
    """How a child ended."""

    run: str
    state: str
    message: str

    @property
    def completed(self) -> bool:
        return self.state == "COMPLETED"


def run_child(
    deployment: str, *, name: str, parameters: Mapping[str, Any], tag: str, deadline_s: float = DEADLINE_S
) -> ChildEnded:
    """Start `<flow>/<deployment>` and wait for its end; one with this tag that still goes on is waited for instead.

    Raises Permanent where there is no such deployment, Retryable where the deadline passes.
    """
    with get_client(sync_client=True) as client:
        found = _going_on(client, tag)
        run = found or _start(client, deployment, name=name, parameters=parameters, tag=tag)
        log_line(f"{deployment}: {'waiting for' if found else 'started'} run {run.id}")
        return _wait(client, run.id, deployment=deployment, deadline_s=deadline_s)


def _going_on(client: SyncPrefectClient, tag: str) -> FlowRun | None:
    """A run that an earlier try of the same parent started."""
    wanted = FlowRunFilter.model_validate({"tags": {"all_": [tag]}})
    runs: Sequence[FlowRun] = client.read_flow_runs(flow_run_filter=wanted)
    return next((run for run in runs if run.state is not None and run.state.type.value not in OVER), None)


def _start(
    client: SyncPrefectClient, deployment: str, *, name: str, parameters: Mapping[str, Any], tag: str
) -> FlowRun:
    found = client.read_deployment_by_name(deployment)
    return client.create_flow_run_from_deployment(found.id, name=name, parameters=dict(parameters), tags=[tag])


def _wait(
    client: SyncPrefectClient, run: UUID, *, deployment: str, deadline_s: float, clock: Clock | None = None
) -> ChildEnded:
    found = wait_until(
        lambda: _look(client, run),
        clock=clock or SystemClock(),
        deadline_s=deadline_s,
        interval_s=POLL_S,
        what=deployment,
        log=lambda state: log_line(f"{deployment}: {state}"),
    )
    if isinstance(found, NotYet):
        raise Retryable(
            f"{deployment} (run {run}) has not ended within {deadline_s:.0f} s; last seen: {found}",
            stage="deploy",
            next_step="look at that run; start this one again when it has ended",
        )
    return found


def _look(client: SyncPrefectClient, run: UUID) -> ChildEnded | NotYet:
    try:
        state = client.read_flow_run(run).state
    except httpx.HTTPError as error:
        # The server may be away for a restart.
        return NotYet(f"no answer from the server ({type(error).__name__})")
    if state is None:
        return NotYet("a run without a state")
    if state.type.value not in OVER:
        return NotYet(str(state.name))
    return ChildEnded(str(run), state.type.value, state.message or "")


def require_completed(ended: ChildEnded, *, what: str, fail: Callable[[str], None]) -> None:
    """Permanent with the child's own message where it did not complete; `fail` hears it first."""
    if ended.completed:
        return
    why = f"{what} ended {ended.state.lower()}: {ended.message or 'no message'}"
    fail(why)
    raise Permanent(why, stage="deploy", next_step=f"look at run {ended.run}; start this one again afterwards")
