"""When nodes may restart or leave: the environment's windows. Pure: the moment is given."""

from collections.abc import Sequence
from datetime import datetime

from infraflux.config.models.policy import Disruption, Window
from infraflux.config.windows import is_inside, next_opening
from infraflux.core.errors import ErrorClass, Permanent

HELD_FROM = Disruption.NODE_RESTART
"""A service that starts again, and everything below, waits for no window."""


class OutsideWindow(Permanent):
    """What is planned disturbs more than the policy allows at this time."""

    default_class = ErrorClass.USER


def judge_windows(disruption: Disruption, windows: Sequence[Window], *, now: datetime) -> str:
    """Why a plan that disturbs this much has to wait; empty where it does not."""
    if disruption < HELD_FROM or not windows or any(is_inside(window, now) for window in windows):
        return ""
    opens = next_opening(windows, now)
    when = f"the next one opens at {opens:%Y-%m-%d %H:%M %Z}" if opens else "none opens within two weeks"
    return f"the worst of the plan is {disruption.words}, and now is outside every window of policy.windows; {when}"


def require_window(disruption: Disruption, windows: Sequence[Window], *, now: datetime, cluster: str) -> None:
    """Raises OutsideWindow where it has to wait."""
    if reason := judge_windows(disruption, windows, now=now):
        raise OutsideWindow(
            reason,
            cluster=cluster,
            stage="guard",
            next_step="start it again then; what disturbs less may be deployed now, without what restarts nodes",
        )
