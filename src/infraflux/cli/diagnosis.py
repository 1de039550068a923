"""One line of `infraflux doctor`."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What a line says."""

    OK = "ok"
    NOTE = "note"
    MISSING = "missing"


SIGNS = {State.OK: ("✓", "green"), State.NOTE: ("!", "yellow"), State.MISSING: ("✗", "bold red")}


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """One line: what was looked at, how it is, and what to do."""

    subject: str
    state: State
    detail: str
    next_step: str = ""
