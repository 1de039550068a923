"""Events other flows and people's automations build on: `infraflux.cluster.deployed` and its kin.

The resource id is `infraflux.cluster.<env>.<name>`. A payload is small, flat and free of secrets. Emitted only after
what they say was verified.
"""

from collections.abc import Mapping
from enum import StrEnum

from prefect.events import emit_event
from prefect.runtime import flow_run

SCHEMA = 1


class ClusterEvent(StrEnum):
    """What can happen to a cluster."""

    DEPLOYED = "infraflux.cluster.deployed"
    VERIFIED = "infraflux.cluster.verified"
    DESTROYED = "infraflux.cluster.destroyed"
    APPROVAL_GRANTED = "infraflux.approval.granted"
    APPROVAL_REJECTED = "infraflux.approval.rejected"
    APPROVAL_REQUESTED = "infraflux.approval.requested"


def resource(cluster: str) -> dict[str, str]:
    """Who the event is about (pure)."""
    environment, _, name = cluster.partition("/")
    return {
        "prefect.resource.id": f"infraflux.cluster.{environment}.{name}",
        "prefect.resource.name": cluster,
        "infraflux.env": environment,
        "infraflux.cluster": name,
    }


def payload(cluster: str, facts: Mapping[str, str | int], *, flow_run_id: str) -> dict[str, str | int]:
    """What the event says (pure)."""
    environment, _, name = cluster.partition("/")
    return {"schema": SCHEMA, "cluster": name, "env": environment, "flow_run_id": flow_run_id, **facts}


def emit(event: ClusterEvent, *, cluster: str, facts: Mapping[str, str | int]) -> None:
    """Send one event."""
    emit_event(
        event=event.value,
        resource=resource(cluster),
        payload=payload(cluster, facts, flow_run_id=str(flow_run.get_id())),
    )
