"""Something that nobody watches went wrong: say so where people look."""

from prefect import flow

from tasks import alerts


@flow(name="alert", flow_run_name="alert", persist_result=False)
def alert(what: str = "an automation", why: str = "", source_event: str = "") -> None:
    """Tell the channel of every environment, send `infraflux.alert.raised`, and fail, so that the run list shows it.

    Args:
        what: What failed: the name of the automation.
        why: What the server said about it.
        source_event: Id of the event that reported it.
    """
    alerts.notify_channels(what=what, why=why)
    alerts.raise_alert(what=what, why=why, source_event=source_event)
