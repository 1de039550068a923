"""Something went wrong that nobody watches: report it where people look."""

from prefect import flow

from tasks import alerts


@flow(name="alert", flow_run_name="alert", persist_result=False)
def alert(what: str = "an automation", why: str = "", source_event: str = "") -> None:
    """Notify every environment's channels, send `infraflux.alert.raised`, and fail, so that the list of runs shows it.

    Args:
        what: What failed: the name of the automation.
        why: What the server said about it.
        source_event: Id of the event that reported it.
    """
    alerts.notify_channels(what=what, why=why)
    alerts.raise_alert(what=what, why=why, source_event=source_event)
