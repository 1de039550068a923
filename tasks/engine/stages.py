"""How a recipe runs its stages: the lock proven before each, the time and outcome of each on the chart."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from prefect.runtime import flow_run

from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.outcomes import Noop
from infraflux.operations.opening import OpenCluster
from tasks.configuration import open_cluster
from tasks.engine.artifacts import Report, reporting
from tasks.engine.context import RunContext, running
from tasks.engine.locks import Lease, cluster_lock

T = TypeVar("T")


@dataclass
class Recipe:
    """One run of a recipe."""

    run: RunContext
    report: Report
    lease: Lease | None = None
    _opened: OpenCluster | None = None

    @property
    def opened(self) -> OpenCluster:
        """The cluster of this run; there from the first stage on."""
        assert self._opened is not None
        return self._opened

    def open(self) -> OpenCluster:
        """The first stage: the configuration, and what the reports of this run have to say of themselves."""
        with self.report.stage("load") as said:
            self._opened = open_cluster(cluster=self.run.cluster)
            said.append(f"{len(self.opened.spec.nodes)} nodes, at {self.opened.head}")
        self.report.simulation_notice = self.opened.spec.simulation_notice
        return self.opened

    def look(self, stage: str, step: Callable[..., T], **arguments: Any) -> T:
        """Run a task that changes nothing as a stage; returns what the task returns."""
        with self.report.stage(stage) as said:
            result = step(opened=self.opened, **arguments)
            said.append(summary(result))
        return result

    def do(self, stage: str, step: Callable[..., T], **arguments: Any) -> T:
        """Run a task that changes something as a stage, unless the lock was lost; returns what the task returns."""
        with self.report.stage(stage) as said:
            self.fence()
            result = step(opened=self.opened, **arguments)
            said.append(summary(result))
        return result

    def do_all(self, stages: Sequence[tuple[str, Callable[..., Any]]], **arguments: Any) -> None:
        """One stage after the other."""
        for stage, step in stages:
            self.do(stage, step, **arguments)

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
        idle = sum(isinstance(value, Noop) for value in result.values())
        done = len(result) - idle
        return ", ".join([f"{done} done"] * bool(done) + [f"{idle} with nothing to do"] * bool(idle))
    return "" if result is None else str(result)


@contextmanager
def recipe(cluster: str, *, planned: Sequence[str]) -> Iterator[Recipe]:
    """Around the body of a flow: its context and its timeline."""
    with running(cluster) as run, reporting(run.cluster, planned=planned) as report:
        yield Recipe(run, report)
