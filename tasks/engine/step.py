"""How every task runs: retried where the error says that a retry can help, logged to its run, rooted in the project."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from logging import Logger
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from prefect import Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.exceptions import MissingContextError
from prefect.tasks import exponential_backoff

from infraflux.core.errors import InfrafluxError, Permanent
from infraflux.core.outcomes import Outcome
from infraflux.core.paths import find_root
from tasks.engine.masking import masked_error

P = ParamSpec("P")
R = TypeVar("R")

RETRIES = 3
BACKOFF_FACTOR_S = 2
"""2, 4, 8 seconds: Proxmox locks and rebooting nodes are over within that; longer waits are in the adapters."""


def a_retry_can_help(_task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    """Prefect's `retry_condition_fn`: the class of the error decides, nothing else."""
    try:
        state.result()
    except InfrafluxError as error:
        return error.retryable
    except Exception:  # noqa: BLE001 - an error nobody classified is a defect; repeating it hides it
        return False
    return False


def step(name: str, *, retries: int = RETRIES) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A task called `name` in the UI, retried by class of error. Steps look before they act, so a repeat is safe."""

    def wrap(function: Callable[P, R]) -> Task[P, R]:
        @wraps(function)
        def clean(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                with _logging_threads():
                    return function(*args, **kwargs)
            except Exception as error:
                # Prefect stores the message as the state of the task.
                shown = masked_error(error)
                if shown is error:
                    raise
                raise shown from None

        return task(
            name=name,
            retries=retries,
            retry_delay_seconds=exponential_backoff(BACKOFF_FACTOR_S),
            retry_jitter_factor=0.2,
            retry_condition_fn=a_retry_can_help,
            # A step looks at the world: nothing of it may come from a cache, and hashing its arguments takes time.
            cache_policy=NO_CACHE,
        )(clean)

    return wrap


_of_threads: list[Logger] = []
"""The log of the running step, for threads that an adapter starts: they do not inherit Prefect's context."""


@contextmanager
def _logging_threads() -> Iterator[None]:
    try:
        _of_threads.append(cast(Logger, get_run_logger()))
    except MissingContextError:  # called as a plain function
        yield
        return
    try:
        yield
    finally:
        _of_threads.pop()


def log_line(line: str) -> None:
    """One line to the log of the running task or flow, also from a thread that a task started."""
    try:
        logger = cast(Logger, get_run_logger())
    except MissingContextError:
        if not _of_threads:
            raise
        logger = _of_threads[-1]
    logger.info("%s", line)


def project_root() -> Path:
    """The project the worker was started in; Permanent where it was started elsewhere."""
    try:
        return find_root(Path.cwd())
    except FileNotFoundError as error:
        raise Permanent(
            str(error), next_step="start the worker in the repository, as `infraflux service up` does"
        ) from error


def log_outcome(outcome: Outcome) -> Outcome:
    """Log what a step did, and hand it on."""
    log_line(str(outcome))
    return outcome


def log_outcomes(outcomes: Mapping[str, Outcome]) -> Mapping[str, Outcome]:
    """Log what a step did to each, and hand it on."""
    for name, outcome in outcomes.items():
        log_line(f"{name}: {outcome}")
    return outcomes
