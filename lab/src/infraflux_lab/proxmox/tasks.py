"""Workers with UPIDs, status and log, as Proxmox runs everything that takes time."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from infraflux_lab.proxmox.cluster import Cluster
from infraflux_lab.proxmox.errors import PveError, TaskFailed, bad_parameter
from infraflux_lab.proxmox.model import Task

FIRST_PID = 0x4000
PID_SPAN = 0x3FFFF
DEFAULT_SLOW_S = 5.0


class Worker:
    """What the code of a task may do."""

    def __init__(self, cluster: Cluster, task: Task) -> None:
        self._cluster, self._task = cluster, task

    @property
    def task(self) -> Task:
        return self._task

    def log(self, text: str) -> None:
        """Append a line to the task log."""
        self._task.log.append(text)

    async def begin(self, phase: str) -> None:
        """Pass the time of a phase; here slow and failing tasks are slow or fail."""
        slow = self._take("slow-task")
        if slow is not None:
            await asyncio.sleep(float(slow.get("seconds", DEFAULT_SLOW_S)))
        await self._cluster.latency.sleep(phase)
        failure = self._take("fail-task")
        if failure is not None:
            raise TaskFailed(failure.get("message", "simulated failure"))

    def finish(self) -> str:
        """Exit status of work that ended without an error."""
        failure = self._take("fail-task-late")
        if failure is not None:
            raise TaskFailed(failure.get("message", "simulated failure after the work"))
        warning = self._take("warn-task")
        if warning is not None:
            self.log(f"WARN: {warning.get('message', 'simulated warning')}")
        warnings = sum(line.startswith("WARN: ") for line in self._task.log)
        return f"WARNINGS: {warnings}" if warnings else "OK"

    def _take(self, kind: str) -> dict[str, str] | None:
        task, name = self._task, self._cluster.name
        params = self._cluster.faults.take_any(
            kind, f"{name}/{task.subject}", f"{name}/{task.kind}", f"{name}/{task.kind}:{task.subject}"
        )
        return dict(params) if params is not None else None


class Tasks:
    """All workers of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._stopping = False
        self._next_pid = FIRST_PID + len(cluster.tasks)
        for task in [task for task in cluster.tasks.values() if task.running]:
            # The lab was killed under it: Proxmox calls a worker that left no exit status just this.
            task.exit_status, task.ended_at = "unexpected status", int(time.time())
            cluster.save_task(task)

    def start(self, *, node: str, kind: str, subject: str, user: str, work: Callable[[Worker], Awaitable[None]]) -> str:
        """Start a worker; returns its UPID at once."""
        task = self._new(node=node, kind=kind, subject=subject, user=user)
        task.vanished = (
            self._cluster.faults.take_any(
                "vanish-task",
                *(f"{self._cluster.name}/{name}" for name in (subject, kind, f"{kind}:{subject}")),
            )
            is not None
        )
        self._cluster.save_task(task)
        self._cluster.events.emit(
            "proxmox", "task-started", environment=self._cluster.name, task=kind, subject=subject, upid=task.upid
        )
        worker = asyncio.create_task(self._run(task, work), name=task.upid)
        self._workers[task.upid] = worker
        worker.add_done_callback(lambda _: self._left(task))
        return task.upid

    async def _run(self, task: Task, work: Callable[[Worker], Awaitable[None]]) -> None:
        worker = Worker(self._cluster, task)
        try:
            await work(worker)
            task.exit_status = worker.finish()
            task.log.append("TASK OK" if task.exit_status == "OK" else f"TASK {task.exit_status}")
        except (TaskFailed, PveError) as error:
            task.exit_status = str(error)
            task.log.append(f"TASK ERROR: {error}")
        except Exception as error:  # noqa: BLE001 - a mistake in the simulator must end the task, not hang its client
            task.exit_status = f"simulator error: {error!r}"
            task.log.append(f"TASK ERROR: {task.exit_status}")
        self._ended(task)

    def _left(self, task: Task) -> None:
        """The worker is gone; one that ends by a signal leaves no status of its own."""
        self._workers.pop(task.upid, None)
        if task.running and not self._stopping:
            task.exit_status = "interrupted by signal"
            task.log.append(f"TASK ERROR: {task.exit_status}")
            self._ended(task)

    def _ended(self, task: Task) -> None:
        task.ended_at = int(time.time())
        self._cluster.save_task(task)
        self._cluster.events.emit(
            "proxmox",
            "task-ended",
            environment=self._cluster.name,
            task=task.kind,
            subject=task.subject,
            upid=task.upid,
            exit_status=task.exit_status,
        )

    def _new(self, *, node: str, kind: str, subject: str, user: str) -> Task:
        self._next_pid = FIRST_PID + (self._next_pid + 1 - FIRST_PID) % PID_SPAN
        pid, pstart, now = self._next_pid, int(time.monotonic() * 100), int(time.time())
        upid = f"UPID:{node}:{pid:08X}:{pstart:08X}:{now:08X}:{kind}:{subject}:{user}:"
        return Task(upid=upid, node=node, kind=kind, subject=subject, user=user, pid=pid, pstart=pstart, started_at=now)

    def get(self, upid: str) -> Task:
        """A task by its UPID; else 400 as Proxmox answers while a task is not there (yet)."""
        if not upid.startswith("UPID:"):
            raise bad_parameter("upid", "unable to parse worker upid")
        task = self._cluster.tasks.get(upid)
        if task is None or task.vanished:
            raise bad_parameter("upid", "no such task")
        return task

    def interrupt(self, upid: str) -> None:
        """End a worker as a signal would."""
        worker = self._workers.get(self.get(upid).upid)
        if worker:
            worker.cancel()

    async def stop(self) -> None:
        """Cut off all workers, as a power cut would."""
        self._stopping = True
        workers = list(self._workers.values())
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
