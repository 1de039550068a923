"""Logged calls held against the table again: what a whole deploy asked of Proxmox, call by call."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from infraflux_lab.proxmox.facts.calls import CALLS
from infraflux_lab.proxmox.facts.check import Values, check_call

_PATTERN = re.compile(r"\{(\w+):[^}]*\}")
NOT_SAID = "(not in the log)"
SECRETS = frozenset({"cipassword", "confirmation-password", "otp", "password", "tfa-challenge"})


def row_of(method: str, route: str) -> str:
    """The row of the table for a route: the same path without patterns."""
    path = _PATTERN.sub(r"{\1}", route)
    return f"{method} {path}"


def loggable(form: Values) -> dict[str, str | list[str]]:
    """Parameters without what nobody should read."""
    return {name: NOT_SAID if name in SECRETS else value for name, value in form.items()}


def violations(requests: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Calls of the log that Proxmox would not take, and why."""
    for request in requests:
        name = row_of(request["method"], request["route"])
        facts = CALLS.get(name)
        if facts is None:
            yield f"{request['method']} {request['path']}: no such call"
            continue
        form = request.get("form", {})
        problems = check_call(facts, path=_in_path(request["route"], request["path"]), form=form)
        if problems:
            yield f"{name}: {problems}"


def _in_path(route: str, path: str) -> dict[str, str]:
    """Values of the path's placeholders."""
    pattern = re.sub(r"\{(\w+)(?::([^}]*))?\}", lambda found: f"(?P<{found[1]}>{found[2] or '[^/]+'})", route)
    match = re.fullmatch(pattern, path.rstrip("/"))
    return match.groupdict() if match else {}
