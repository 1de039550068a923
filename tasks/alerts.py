"""Alerts as Prefect tasks."""

from prefect.events import emit_event

from infraflux.config.load import Fleet
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.operations.alerts import send_to_all
from tasks.engine.step import log_line, project_root, step


@step("notify")
def notify_channels(*, what: str, why: str) -> None:
    """One message per channel; what cannot be delivered is logged, the alert itself is not lost."""
    root = project_root()
    for failed in send_to_all(root, Fleet.load(root), f"InfraFlux: the automation {what!r} failed: {why}"):
        log_line(f"not notified: {failed}")


@step("raise alert", retries=0)
def raise_alert(*, what: str, why: str, source_event: str) -> None:
    """Always raises Permanent: the failed run is the alert."""
    emit_event(
        "infraflux.alert.raised",
        resource={"prefect.resource.id": "infraflux.alert.automation", "prefect.resource.name": what},
        payload={"schema": 1, "what": what, "why": why, "source_event": source_event},
    )
    raise Permanent(
        f"the automation {what!r} failed: {why or 'no reason given'}",
        stage="automation",
        error_class=ErrorClass.CONFIG,
        next_step="correct its template or deployment; `infraflux promotion start` does by hand what it missed",
    )
