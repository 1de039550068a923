"""What Terraform says while it works (`-json`), typed."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class EventKind(StrEnum):
    """The messages anybody acts on; everything else is `OTHER`."""

    STARTED = "apply_start"
    COMPLETED = "apply_complete"
    ERRORED = "apply_errored"
    PLANNED = "planned_change"
    SUMMARY = "change_summary"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """An error or a warning."""

    severity: str
    summary: str
    detail: str = ""
    address: str = ""

    @property
    def text(self) -> str:
        """Where, what and why in one string."""
        where = f"{self.address}: " if self.address else ""
        return f"{where}{self.summary}{': ' + self.detail if self.detail else ''}"


@dataclass(frozen=True, kw_only=True)
class Event:
    """One message."""

    kind: EventKind
    message: str
    address: str = ""
    action: str = ""
    elapsed_s: float = 0.0
    diagnostic: Diagnostic | None = None
    outputs: Mapping[str, Any] | None = None
    """Output values, in the message that closes an apply."""


OnEvent = Callable[[Event], None]


def parse_event(line: str) -> Event:
    """The event of one line; a line that is no JSON (`init` on stderr, a crash) is an `OTHER` with its text."""
    try:
        document = json.loads(line)
    except ValueError:
        return Event(kind=EventKind.OTHER, message=line)
    if not isinstance(document, dict):
        return Event(kind=EventKind.OTHER, message=line)
    hook: dict[str, Any] = document.get("hook") or {}
    change: dict[str, Any] = document.get("change") or {}
    resource: dict[str, Any] = hook.get("resource") or change.get("resource") or {}
    return Event(
        kind=_kind(document.get("type")),
        message=str(document.get("@message", "")),
        address=str(resource.get("addr", "")),
        action=str(hook.get("action") or change.get("action") or ""),
        elapsed_s=float(hook.get("elapsed_seconds") or 0),
        diagnostic=_diagnostic(document.get("diagnostic")),
        outputs=_outputs(document),
    )


def _outputs(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if document.get("type") != "outputs" or not isinstance(document.get("outputs"), dict):
        return None
    # Planned outputs come in the same kind of message, without values.
    values = {name: one["value"] for name, one in document["outputs"].items() if "value" in one}
    return values or None


def _kind(name: Any) -> EventKind:
    return EventKind(name) if name in set(EventKind) else EventKind.OTHER


def _diagnostic(document: Any) -> Diagnostic | None:
    if not isinstance(document, dict):
        return None
    return Diagnostic(
        severity=str(document.get("severity", "error")),
        summary=str(document.get("summary", "")),
        detail=str(document.get("detail", "")),
        address=str(document.get("address", "")),
    )
