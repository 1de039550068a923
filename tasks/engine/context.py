"""What every flow run has in common: which cluster it may touch, its record, masked logs, clean stops."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prefect.exceptions import ExternalSignal, PrefectSignal
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL

from infraflux.core.errors import Permanent
from infraflux.core.paths import ProjectPaths
from infraflux.core.process import guard
from infraflux.core.run_records import record_for_this_process, remove_record, write_record
from tasks.engine.masking import mask_logs, masked_error
from tasks.engine.step import log_line, project_root


@dataclass(frozen=True)
class RunContext:
    """What a recipe knows of its own run."""

    root: Path
    environment: str
    cluster: str
    """`<env>/<name>`, or the environment alone."""
    flow_run_id: str

    @property
    def paths(self) -> ProjectPaths:
        return ProjectPaths(self.root)


def cluster_key(cluster: str, *, bound: str) -> str:
    """`<env>/<name>` from the parameter, held against the environment the deployment is bound to (pure).

    Permanent where the parameter names another environment, or where neither says which.
    """
    environment, slash, name = cluster.rpartition("/")
    if slash and bound and environment != bound:
        raise Permanent(
            f"this deployment acts in {bound} only, {cluster!r} is in {environment}",
            cluster=cluster,
            stage="load",
            next_step=f"start the deployment of {environment}, such as deploy/{environment}",
        )
    if not (environment or bound) or not name:
        raise Permanent(f"{cluster!r} is not <env>/<name>", stage="load", next_step="name it as in dev/dev-1")
    return f"{environment or bound}/{name}"


def bound_environment() -> str:
    """The environment of the deployment, from its job variables; empty for a run without one."""
    return os.environ.get("INFRAFLUX_ENVIRONMENT", "")


def run_name() -> str:
    """`deploy-dev-dev-1`: what the list of runs shows."""
    parameters = flow_run.get_parameters()
    key = str(parameters.get("cluster", ""))
    environment = "" if "/" in key else bound_environment()
    return "-".join(part for part in (flow_run.get_flow_name(), environment, key.replace("/", "-")) if part)


def environment_run_name() -> str:
    """`promote-staging`: a run about a whole environment."""
    return "-".join(part for part in (flow_run.get_flow_name(), bound_environment()) if part)


@contextmanager
def running(cluster: str) -> Iterator[RunContext]:
    """Around the body of a flow about one cluster; see `acting`."""
    with acting(cluster_key(cluster, bound=bound_environment())) as context:
        yield context


@contextmanager
def running_for_environment() -> Iterator[RunContext]:
    """Around the body of a flow about the environment its deployment is bound to; see `acting`."""
    environment = bound_environment()
    if not environment:
        raise Permanent(
            "this run is bound to no environment",
            stage="load",
            next_step="start a deployment such as promote/staging, or set INFRAFLUX_ENVIRONMENT",
        )
    with acting(environment) as context:
        yield context


@contextmanager
def acting(key: str) -> Iterator[RunContext]:
    """Around the body of a flow about a cluster (`<env>/<name>`) or an environment.

    Leaves a record for the watch, masks secrets in logs and errors, and stops every outside program when the body is
    left by whatever exception, a cancellation included.
    """
    mask_logs()
    root = project_root()
    context = RunContext(root, key.partition("/")[0], key, str(flow_run.get_id()))
    record = record_for_this_process(
        flow_run_id=context.flow_run_id,
        flow=str(flow_run.get_flow_name()),
        cluster=key,
        api_url=PREFECT_API_URL.value() or "",
    )
    records = context.paths.state / "runs"
    write_record(records, record)
    try:
        with guard():
            yield context
    except Exception as error:
        remove_record(records, context.flow_run_id)
        clean = masked_error(error, cluster=key)
        if clean is error:
            raise
        raise clean from None
    except PrefectSignal:
        # Suspended or told to stop by the server, which therefore knows.
        remove_record(records, context.flow_run_id)
        raise
    except ExternalSignal:
        # Where the worker is dead, nobody tells the server how the run ended, so its record stays for the watchdog.
        log_line(f"{key}: stopped by a cancellation or by the end of the worker; a new run continues from here")
        raise
    remove_record(records, context.flow_run_id)
