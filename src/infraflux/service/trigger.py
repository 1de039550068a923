"""Start a deployment, the same way as the Run button does."""

from collections.abc import Mapping
from typing import Any

from infraflux.core.errors import Permanent
from infraflux.service.api import PrefectApi


def start_run(api: PrefectApi, deployment: str, *, name: str, parameters: Mapping[str, Any]) -> str:
    """Create a run of `<flow>/<deployment>` and return its id. Permanent where the server refuses the parameters."""
    found = api.find(f"/deployments/name/{deployment}")
    if found is None:
        raise Permanent(
            f"the server has no deployment {deployment}", stage="service", next_step="infraflux service up registers it"
        )
    body = {
        "name": name,
        "parameters": {**found["parameters"], **parameters},
        "state": {"type": "SCHEDULED"},
        "tags": ["manual"],
    }
    run = api.post(f"/deployments/{found['id']}/create_flow_run", body)
    return str(run["id"])


def answer(api: PrefectApi, flow_run_id: str, *, approve: bool, approver: str, comment: str) -> None:
    """Decide on a suspended run. Permanent where it does not wait for a decision."""
    run_input = {"decision": "approve" if approve else "reject", "approver": approver, "comment": comment}
    reply = api.post(f"/flow_runs/{flow_run_id}/resume", {"run_input": run_input})
    if reply["status"] != "ACCEPT":
        reason = (reply.get("details") or {}).get("reason") or "it does not wait for a decision"
        raise Permanent(f"run {flow_run_id} was not resumed: {reason}", stage="approve", next_step="look at its state")
