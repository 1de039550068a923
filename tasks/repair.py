"""Repairs drift by starting the cluster's own deployment, with its plan, guard and approval, and nothing else.

The check that starts it does not wait for it: the deployment may stand before an approval for days.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from infraflux.config.load import Fleet
from infraflux.config.models import ClusterSpec
from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.drift.findings import ClusterDrift, DriftVerdict, Finding
from infraflux.operations.drift_fleet import fix_of
from tasks.engine.step import log_outcomes, project_root, step

UNFINISHED = (
    StateType.SCHEDULED,
    StateType.PENDING,
    StateType.RUNNING,
    StateType.PAUSED,
    StateType.CANCELLING,
)
TAG = "drift-fix"
NAMED = 3
"""Findings named in the reason of a run; the report has all of them."""


@step("repair drift", retries=0)
def repair(*, reports: Sequence[ClusterDrift]) -> Mapping[str, Outcome]:
    """Start `deploy/<env>` for each drifted cluster whose policy covers all that was found; says why not for others."""
    root = project_root()
    fleet = Fleet.load(root)
    outcomes: dict[str, Outcome] = {}
    for report in reports:
        if report.verdict is DriftVerdict.DRIFTED:
            spec = fleet.cluster(report.cluster)
            allowed = fix_of(root, spec, report)
            outcomes[spec.key] = allowed if isinstance(allowed, Noop) else start_deploy(spec, allowed)
    return log_outcomes(outcomes)


def start_deploy(spec: ClusterSpec, findings: Sequence[Finding]) -> Outcome:
    """Start the deployment of this cluster's environment; Noop where one of it is under way or none is registered."""
    name = f"deploy/{spec.environment}"
    with get_client(sync_client=True) as client:
        try:
            deployment = client.read_deployment_by_name(name)
            if present := _under_way(client, deployment.id, spec.name):
                return Noop(f"{present.name} (run {present.id}) is {present.state_name} already")
            run = client.create_flow_run_from_deployment(
                deployment.id,
                parameters={"cluster": spec.name, "reason": reason(findings)},
                name=f"deploy-{spec.environment}-{spec.name}",
                tags=[TAG],
            )
        except ObjectNotFound:
            return Noop(f"the server has no deployment {name}; `infraflux service up` registers it")
        except PrefectHTTPStatusError as error:
            # One cluster's deployment that refuses must not keep the others from theirs.
            return Noop(f"the server would not start {name}: HTTP {error.response.status_code}")
    return Done(f"started {name} (run {run.id}) for {len(findings)} finding(s)")


def reason(findings: Sequence[Finding]) -> str:
    """Why the deployment runs, as it is kept with it (pure)."""
    named = [f"{one.object} {one.field}" for one in findings[:NAMED]]
    more = f" and {len(findings) - NAMED} more" if len(findings) > NAMED else ""
    return f"drift: {', '.join(named)}{more}"


def _under_way(client: SyncPrefectClient, deployment: UUID, cluster: str) -> FlowRun | None:
    """A run of the deployment for this cluster that has not ended, one that waits for approval included."""
    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment])),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(UNFINISHED)))),
    )
    return next((run for run in runs if str(run.parameters.get("cluster", "")).rpartition("/")[2] == cluster), None)
