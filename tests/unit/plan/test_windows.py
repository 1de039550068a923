"""When a plan has to wait for a window, and what it says then."""

from datetime import UTC, datetime

import pytest

from infraflux.config.models.policy import Disruption, Window
from infraflux.operations.plan.windows import OutsideWindow, judge_windows, require_window

NIGHT = Window(name="night", days=("sat",), start="22:00", end="04:00", timezone="UTC")
NOON, LATE = datetime(2026, 11, 28, 12, 0, tzinfo=UTC), datetime(2026, 11, 29, 1, 0, tzinfo=UTC)
CASES = {
    "a restart by day": (Disruption.NODE_RESTART, (NIGHT,), NOON, True),
    "a node that leaves by day": (Disruption.NODE_LEAVES, (NIGHT,), NOON, True),
    "a restart in the window, past midnight": (Disruption.NODE_RESTART, (NIGHT,), LATE, False),
    "a service that starts again by day": (Disruption.SERVICE_RESTART, (NIGHT,), NOON, False),
    "nothing disturbed by day": (Disruption.NONE, (NIGHT,), NOON, False),
    "no window is asked for": (Disruption.DATA_LOST, (), NOON, False),
}


@pytest.mark.parametrize(("disruption", "windows", "now", "waits"), CASES.values(), ids=CASES)
def test_who_waits(disruption: Disruption, windows: tuple[Window, ...], now: datetime, waits: bool) -> None:
    assert bool(judge_windows(disruption, windows, now=now)) is waits


def test_it_says_why_and_until_when() -> None:
    with pytest.raises(OutsideWindow, match=r"node restart, .* opens at 2026-11-28 22:00") as told:
        require_window(Disruption.NODE_RESTART, (NIGHT,), now=NOON, cluster="dev/dev-1")
    assert "without what restarts nodes" in told.value.next_step
