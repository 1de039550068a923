"""Whether a full plan can be spared: nothing it would follow from has changed since one was empty (pure).

A plan is a function of the configuration, the variables, the program, the state, and what Proxmox answers while it
refreshes. After a full plan that was empty the digest of each is kept. As long as all of them are the same the answer
is the same, so nothing has to be understood here: which attribute a field belongs to, or whether it matters, is the
provider's business, and any difference means a full plan.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

_NAMED = 3
"""So many changed objects are named; more say less."""


class Evidence(BaseModel):
    """Digests of everything that the plan of one stack follows from."""

    model_config = ConfigDict(frozen=True)

    inputs: str
    """Modules, backend, program and variables."""
    state: str
    objects: Mapping[str, str]
    """What Proxmox answers, by object: `vm/10011`."""


class Baseline(BaseModel):
    """Kept after a full plan that was empty."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    evidence: Evidence


def evidence_of(*, inputs: str, state: str | None, objects: Mapping[str, Any]) -> Evidence:
    """The digests; equal answers give equal ones, whatever order their fields come in."""
    return Evidence(
        inputs=inputs,
        state=_digest(state),
        objects={name: _digest(value) for name, value in objects.items()},
    )


def why_full(baseline: Baseline | None, seen: Evidence, *, now: datetime, max_age: timedelta, stack: str = "") -> str:
    """Why a full plan has to be made; empty where its result is known to be empty.

    `max_age` is the longest that an old plan is believed; zero: never. Stacks come due at different times before it,
    by name, so that a fleet which was made in one day is not planned in one night for ever.
    """
    if baseline is None:
        return "no full plan was empty yet"
    kept = baseline.evidence
    if kept.inputs != seen.inputs:
        return "the configuration has changed since the last full plan"
    if kept.state != seen.state:
        return "the state has changed since the last full plan"
    names = sorted({*kept.objects, *seen.objects})
    if changed := [name for name in names if kept.objects.get(name) != seen.objects.get(name)]:
        more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
        return f"Proxmox answers differently on {', '.join(changed[:_NAMED])}{more}"
    age = now - baseline.at
    if not timedelta(0) <= age < max_age * _share(stack):
        return f"the last full plan is of {baseline.at:%Y-%m-%d %H:%M}"
    return ""


def _share(stack: str) -> float:
    """Between a half and one."""
    return 0.5 + hashlib.sha256(stack.encode()).digest()[0] / 512


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
