"""Follow a flow run from a terminal: state, stages and the end of the log, live; plain lines where there is none."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from infraflux.core.errors import Retryable
from infraflux.service.api import PrefectApi

POLL_S = 0.5
PAGE = 200
TAIL_LINES = 12
SERVER_AWAY_S = 120.0
"""A server that restarts is away for some 15 s; the run goes on meanwhile."""

STAGE_MARK = "── "
OVER = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
STYLE = {"COMPLETED": "green", "FAILED": "red", "CRASHED": "red", "CANCELLED": "yellow", "PAUSED": "yellow"}


@dataclass
class View:
    """What is known of a run, fed by polls; holds no clock and draws nothing."""

    stages: list[tuple[str, float]] = field(default_factory=list)
    """Name and start, seconds since the epoch."""
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    state_type: str = "SCHEDULED"
    state_name: str = "Scheduled"
    message: str = ""
    seen: int = 0

    @property
    def over(self) -> bool:
        return self.state_type in OVER

    def feed_state(self, state: Mapping[str, Any]) -> bool:
        """Take the state of the run; True where it changed."""
        before = self.state_name
        self.state_type, self.state_name = state["type"], state["name"]
        self.message = state.get("message") or ""
        return before != self.state_name

    def feed_logs(self, records: Sequence[Mapping[str, Any]]) -> list[str]:
        """Take the next page of log records; returns the lines to print."""
        self.seen += len(records)
        lines = []
        for record in records:
            message = str(record["message"])
            if message.startswith(STAGE_MARK):
                # A resumed run passes the stages before the suspension once more.
                name = message.removeprefix(STAGE_MARK)
                self.stages = [one for one in self.stages if one[0] != name]
                self.stages.append((name, _epoch(str(record["timestamp"]))))
            lines += message.splitlines()
        self.tail.extend(lines)
        return lines


def _epoch(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()


class Follower:
    """Polls one run until it is over."""

    def __init__(
        self,
        api: PrefectApi,
        flow_run_id: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.api, self.flow_run_id = api, flow_run_id
        self.view = View()
        self._sleep, self._clock = sleep, clock

    def polls(self) -> Iterator[tuple[bool, list[str]]]:
        """After each poll: whether the state changed, and the new lines. Ends with the run."""
        answered = self._clock()
        while True:
            try:
                yield self._poll()
                answered = self._clock()
            except Retryable:
                if self._clock() - answered > SERVER_AWAY_S:
                    raise
            if self.view.over:
                yield False, self._rest_of_log()
                return
            self._sleep(POLL_S)

    def _poll(self) -> tuple[bool, list[str]]:
        run = self.api.get(f"/flow_runs/{self.flow_run_id}")
        return self.view.feed_state(run["state"]), self._logs()

    def _rest_of_log(self) -> list[str]:
        """Log lines arrive in batches, the last one shortly after the final state."""
        self._sleep(2 * POLL_S)
        return self._logs()

    def _logs(self) -> list[str]:
        body = {
            "logs": {"flow_run_id": {"any_": [self.flow_run_id]}},
            "sort": "TIMESTAMP_ASC",
            "offset": self.view.seen,
            "limit": PAGE,
        }
        return self.view.feed_logs(self.api.post("/logs/filter", body))


def draw(view: View, *, title: str, now: float) -> RenderableType:
    """The live picture (pure but for the spinner)."""
    table = Table.grid(padding=(0, 1))
    for position, (name, start) in enumerate(view.stages):
        last = position == len(view.stages) - 1
        end = now if last else view.stages[position + 1][1]
        mark: RenderableType = Text("✓", style="green")
        if last and not view.over:
            mark = Spinner("dots")
        elif last and view.state_type != "COMPLETED":
            mark = Text("✗", style="red")
        table.add_row(mark, name, Text(f"{max(end - start, 0):.1f} s", style="dim"))
    state = Text(f"{title}  ", style="bold").append(view.state_name, style=STYLE.get(view.state_type, "cyan"))
    tail = Text("\n".join(view.tail), style="dim", no_wrap=True, overflow="ellipsis")
    return Group(state, table, tail)


def follow(api: PrefectApi, flow_run_id: str, *, title: str, console: Console, on_pause: str = "") -> View:
    """Show the run until it is over. `on_pause` is what to do when it waits for a decision."""
    follower = Follower(api, flow_run_id)
    view = follower.view
    if not console.is_terminal:
        for changed, lines in follower.polls():
            for line in lines:
                console.print(line, markup=False, highlight=False, soft_wrap=True)
            if changed:
                console.print(f"{title}: {view.state_name}", markup=False, highlight=False)
                _explain_pause(view, console, on_pause)
        return view
    with Live(console=console, refresh_per_second=8, transient=False) as live:
        for changed, _lines in follower.polls():
            if changed:
                _explain_pause(view, live.console, on_pause)
            live.update(draw(view, title=title, now=time.time()))
    return view


def _explain_pause(view: View, console: Console, on_pause: str) -> None:
    if view.state_type == "PAUSED" and on_pause:
        console.print(on_pause, markup=False, highlight=False, soft_wrap=True)
