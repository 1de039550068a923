"""The steps of a plan as Prefect tasks, in the one order that `operations.execution` gives them."""

from collections.abc import Mapping

from prefect import Task

from infraflux.core.outcomes import Outcome
from infraflux.operations import by_hand, execution
from infraflux.operations.execution import Outcomes, Step
from infraflux.operations.opening import OpenCluster
from infraflux.operations.planning import Planned
from tasks.engine.step import log_outcome, log_outcomes, step

StepTask = Task[..., Outcome | Outcomes]


def as_task(one: Step) -> StepTask:
    """A task that runs the step and logs what it did; the UI shows the step's name and docstring."""

    def run(*, opened: OpenCluster, planned: Planned) -> Outcome | Outcomes:
        found = one.run(opened, planned)
        return log_outcomes(found) if isinstance(found, Mapping) else log_outcome(found)

    run.__doc__ = one.run.__doc__
    # Prefect tells tasks apart by the name of their function.
    run.__name__ = run.__qualname__ = one.run.__name__
    return step(one.name)(run)


BEFORE_MACHINES = tuple((one.stage, as_task(one)) for one in execution.BEFORE_MACHINES)
BY_HAND = tuple((one.stage, as_task(one)) for one in by_hand.STEPS)
AFTER_MACHINES = tuple((one.stage, as_task(one)) for one in execution.AFTER_MACHINES)
