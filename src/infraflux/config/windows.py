"""Recurring times in which something may happen. Pure: the moment is given."""

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from infraflux.config.models.policy import Window

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SEARCH_DAYS = 15
"""How far ahead the next window is looked for; windows recur weekly."""


def is_inside(window: Window, now: datetime) -> bool:
    """Whether the moment lies in the window, by the window's own clock; one past midnight belongs to its first day."""
    local = now.astimezone(ZoneInfo(window.timezone))
    start, end = time.fromisoformat(window.start), time.fromisoformat(window.end)
    today, yesterday = DAYS[local.weekday()], DAYS[local.weekday() - 1]
    clock = local.time().replace(tzinfo=None)
    if start <= end:
        return today in window.days and start <= clock < end
    return (today in window.days and clock >= start) or (yesterday in window.days and clock < end)


def next_opening(windows: Iterable[Window], now: datetime) -> datetime | None:
    """The earliest start of any window after now."""
    starts = [opening for window in windows for opening in _openings(window, now) if opening > now]
    return min(starts, default=None)


def _openings(window: Window, now: datetime) -> list[datetime]:
    zone = ZoneInfo(window.timezone)
    start = time.fromisoformat(window.start)
    first = now.astimezone(zone).date()
    days = [first + timedelta(days=ahead) for ahead in range(_SEARCH_DAYS)]
    return [datetime.combine(day, start, zone) for day in days if DAYS[day.weekday()] in window.days]
