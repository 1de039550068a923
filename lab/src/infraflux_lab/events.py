"""The lab's log: append-only JSON lines, ground truth for tests and benchmarks.

Every line has `monotonic_s` (comparable between processes of one machine), `wall_s` (Unix time), `source`, `kind`.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

# At the start of the daemon only, so that a run's log is always one file; one older log is kept.
ROTATE_BYTES = 64 * 1024**2


class Endpoint(NamedTuple):
    """What requests are counted by."""

    environment: str
    method: str
    route: str
    mutating: bool


class EventLog:
    """Implements `EventSink` on a file; one `write` per line, so that lines never mix and none is lost on a kill."""

    def __init__(self, path: Path) -> None:
        if path.exists() and path.stat().st_size > ROTATE_BYTES:
            path.replace(path.with_suffix(".1.jsonl"))
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._requests: Counter[Endpoint] = Counter()

    def emit(self, source: str, kind: str, **fields: Any) -> None:
        """Append one event; field values must be JSON and free of secrets."""
        line = {"monotonic_s": time.monotonic(), "wall_s": time.time(), "source": source, "kind": kind, **fields}
        os.write(self._descriptor, json.dumps(line, default=str).encode() + b"\n")

    def count_request(self, endpoint: Endpoint, *, source: str = "proxmox", **fields: Any) -> None:
        """Count a request and log it as `request`."""
        self._requests[endpoint] += 1
        self.emit(source, "request", **endpoint._asdict(), **fields)

    def requests(self) -> list[dict[str, Any]]:
        """Requests since the start of the daemon or the last reset, by endpoint."""
        return [{**endpoint._asdict(), "count": count} for endpoint, count in sorted(self._requests.items())]

    def reset_requests(self) -> None:
        """Start counting anew; the log itself stays."""
        self._requests.clear()

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def read_events(path: Path, /, **wanted: Any) -> Iterator[Mapping[str, Any]]:
    """Events of a log whose fields equal the wanted ones, oldest first; a torn last line is left out."""
    if not path.exists():
        return
    with path.open() as file:
        for line in file:
            if not line.endswith("\n"):
                return
            event = json.loads(line)
            if all(event.get(name) == value for name, value in wanted.items()):
                yield event
