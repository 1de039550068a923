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
    PROMOTION_REQUESTED = "infraflux.promotion.requested"
    PROMOTION_PINNED = "infraflux.promotion.pinned"
    PROMOTION_COMPLETED = "infraflux.promotion.completed"
    PROMOTION_REJECTED = "infraflux.promotion.rejected"
    PROMOTION_FAILED = "infraflux.promotion.failed"


def resource(cluster: str, *, release: str = "") -> dict[str, str]:
    """Who the event is about: a cluster, or an environment where only that is named (pure).

    `release` becomes a label, so that a trigger can ask for events about a release and pass over the others.
    """
    environment, _, name = cluster.partition("/")
    label = {"infraflux.release": release} if release else {}
    if not name:
        return {
            "prefect.resource.id": f"infraflux.environment.{environment}",
            "prefect.resource.name": environment,
            "infraflux.env": environment,
            **label,
        }
    return {
        "prefect.resource.id": f"infraflux.cluster.{environment}.{name}",
        "prefect.resource.name": cluster,
        "infraflux.env": environment,
        "infraflux.cluster": name,
        **label,
    }


def payload(cluster: str, facts: Mapping[str, str | int], *, flow_run_id: str) -> dict[str, str | int]:
    """What the event says (pure)."""
    environment, _, name = cluster.partition("/")
    return {"schema": SCHEMA, "cluster": name, "env": environment, "flow_run_id": flow_run_id, **facts}


def emit(event: ClusterEvent, *, cluster: str, facts: Mapping[str, str | int]) -> None:
    """Send one event."""
    emit_event(
        event=event.value,
        resource=resource(cluster, release=str(facts.get("release", ""))),
        payload=payload(cluster, facts, flow_run_id=str(flow_run.get_id())),
    )
