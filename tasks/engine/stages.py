"""How a recipe runs its stages: the lock proven before each, the time and outcome of each on the chart."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prefect.runtime import flow_run

from infraflux.core.errors import ErrorClass, Permanent
from tasks.configuration import load_configuration
from tasks.engine.artifacts import Report, reporting
from tasks.engine.context import RunContext, running
from tasks.engine.locks import Lease, cluster_lock


@dataclass
class Recipe:
    """One run of a recipe."""

    run: RunContext
    report: Report
    lease: Lease | None = None

    def load(self) -> dict[str, Any]:
        """The first stage: the configuration, and what the reports of this run have to say of themselves."""
        facts: dict[str, Any] = self.look("load", load_configuration)
        self.report.simulated = str(facts["simulated"])
        return facts

    def look(self, stage: str, step: Callable[..., Any], **arguments: Any) -> Any:
        """Run a task that changes nothing as a stage; returns what the task returns."""
        with self.report.stage(stage) as said:
            result = step(cluster=self.run.cluster, **arguments)
            said.append(summary(result))
        return result

    def do(self, stage: str, step: Callable[..., Any], **arguments: Any) -> Any:
        """Run a task that changes something as a stage, unless the lock was lost; returns what the task returns."""
        with self.report.stage(stage) as said:
            self.fence()
            result = step(cluster=self.run.cluster, **arguments)
            said.append(summary(result))
        return result

    def do_all(self, stages: Sequence[tuple[str, Callable[..., Any]]]) -> None:
        """One stage after the other."""
        for stage, step in stages:
            self.do(stage, step)

    def fence(self) -> None:
        """LockLost where the cluster is not ours any more; nothing is changed without a lock at all."""
        if self.lease is None:
            raise Permanent("a stage that changes something ran without the lock", error_class=ErrorClass.INTERNAL)
        self.lease.check()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the cluster for the body. The lock is given back whenever the body is left, so a run that is suspended
        for approval does not hold it."""
        locks = self.run.paths.state / "locks"
        name = str(flow_run.get_name())
        with cluster_lock(
            self.run.cluster, directory=locks, flow_run_id=self.run.flow_run_id, flow_run_name=name
        ) as lease:
            self.lease = lease
            try:
                yield
            finally:
                self.lease = None


def summary(result: Any) -> str:
    """A task's result in a few words for the chart (pure)."""
    if isinstance(result, Mapping):
        if "summary" in result:
            return str(result["summary"])
        values = [str(value) for value in result.values()]
        idle = [value for value in values if value.startswith("nothing to do")]
        return f"{len(values) - len(idle)} done, {len(idle)} with nothing to do"
    return "" if result is None else str(result)


@contextmanager
def recipe(cluster: str, *, planned: Sequence[str]) -> Iterator[Recipe]:
    """Around the body of a flow: its context and its timeline."""
    with running(cluster) as run, reporting(run.cluster, planned=planned) as report:
        yield Recipe(run, report)
