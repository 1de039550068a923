"""Make pool, queues, limits and automations of a Prefect server what the files in `deployments/` say.

Read what is there, decide in a pure function, act. Running it twice changes nothing the second time.
"""

import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from infraflux.config.environments import Environment
from infraflux.core.locks import limit_name
from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.service import launch
from infraflux.service.api import PrefectApi
from infraflux.service.templates import written_out

AUTOMATION_PREFIX = "infraflux: "


@dataclass(frozen=True)
class Wanted:
    """The desired state."""

    pool: Mapping[str, Any]
    queues: Sequence[Mapping[str, Any]]
    automations: Sequence[Mapping[str, Any]]
    limits: Sequence[str]
    """Names of the cluster locks; each admits one holder."""


@dataclass(frozen=True)
class Seen:
    """What the server has."""

    pool: Mapping[str, Any] | None
    queues: Sequence[Mapping[str, Any]]
    automations: Sequence[Mapping[str, Any]]
    limits: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Request:
    """One change, as the request that makes it."""

    what: str
    method: str
    path: str
    body: Any = None


def covers(seen: Any, wanted: Any) -> bool:
    """Whether `seen` has all that is wanted; the server fills in defaults, so it may have more keys."""
    if isinstance(wanted, Mapping):
        return isinstance(seen, Mapping) and all(covers(seen.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, (list, tuple)):
        if not isinstance(seen, (list, tuple)) or len(seen) != len(wanted):
            return False
        if all(isinstance(one, str) for one in wanted):
            # The server keeps sets and gives them back in any order.
            return sorted(seen) == sorted(wanted)
        return all(covers(one, other) for one, other in zip(seen, wanted, strict=True))
    if isinstance(wanted, (int, float)) and isinstance(seen, (int, float)):
        return float(seen) == float(wanted)
    return bool(seen == wanted)


def plan_sync(wanted: Wanted, seen: Seen) -> list[Request]:
    """The requests that close the gap (pure); pool before queues, since the one holds the others."""
    return [
        *_plan_pool(wanted.pool, seen.pool),
        *_plan_queues(str(wanted.pool["name"]), wanted.queues, seen.queues),
        *_plan_automations(wanted.automations, seen.automations),
        *_plan_limits(wanted.limits, seen.limits),
    ]


def _plan_pool(wanted: Mapping[str, Any], seen: Mapping[str, Any] | None) -> Iterable[Request]:
    name = wanted["name"]
    if seen is None:
        yield Request(f"created work pool {name}", "POST", "/work_pools/", dict(wanted))
    elif not covers(seen, wanted):
        body = {key: value for key, value in wanted.items() if key not in ("name", "type")}
        yield Request(f"updated work pool {name}", "PATCH", f"/work_pools/{name}", body)


def _plan_queues(
    pool: str, wanted: Sequence[Mapping[str, Any]], seen: Sequence[Mapping[str, Any]]
) -> Iterable[Request]:
    have = {queue["name"]: queue for queue in seen}
    for queue in wanted:
        name = queue["name"]
        if name not in have:
            yield Request(f"created work queue {name}", "POST", f"/work_pools/{pool}/queues", dict(queue))
        elif not covers(have[name], {key: queue[key] for key in queue if key != "priority"}):
            yield Request(f"updated work queue {name}", "PATCH", f"/work_pools/{pool}/queues/{name}", dict(queue))


def _plan_automations(wanted: Sequence[Mapping[str, Any]], seen: Sequence[Mapping[str, Any]]) -> Iterable[Request]:
    ours = [one for one in seen if str(one["name"]).startswith(AUTOMATION_PREFIX)]
    have: dict[str, Mapping[str, Any]] = {}
    for one in ours:
        if one["name"] in have or one["name"] not in {other["name"] for other in wanted}:
            yield Request(f"removed automation {one['name']}", "DELETE", f"/automations/{one['id']}")
        else:
            have[one["name"]] = one
    for one in wanted:
        found = have.get(one["name"])
        if found is None:
            yield Request(f"created automation {one['name']}", "POST", "/automations/", dict(one))
        elif not covers(found, one):
            yield Request(f"updated automation {one['name']}", "PUT", f"/automations/{found['id']}", dict(one))


def _plan_limits(wanted: Sequence[str], seen: Sequence[Mapping[str, Any]]) -> Iterable[Request]:
    have = {limit["name"]: limit for limit in seen}
    for name in wanted:
        body = {"name": name, "limit": 1, "active": True, "slot_decay_per_second": 0}
        if name not in have:
            yield Request(f"created lock {name}", "POST", "/v2/concurrency_limits/", body)
        elif not covers(have[name], {"limit": 1, "active": True}):
            yield Request(
                f"repaired lock {name}", "PATCH", f"/v2/concurrency_limits/{name}", {"limit": 1, "active": True}
            )


def launch_command(forkserver_socket: Path) -> str:
    """The worker's command for every run: the launcher of the fork server, as a file and without site packages."""
    return shlex.join([sys.executable, "-I", "-S", str(Path(launch.__file__)), str(forkserver_socket)])


def load_wanted(directory: Path, *, pool: str, command: str, environments: Sequence[Environment]) -> Wanted:
    """Read `deployments/`; the environments come in the order of promotion, and the last one is served first."""
    yaml = YAML(typ="safe")
    raw = yaml.load(directory / "work-pool.yaml")
    automations = yaml.load(directory / "automations.yaml")
    return Wanted(
        pool={
            "name": pool,
            "type": "process",
            "description": raw["description"],
            "concurrency_limit": raw["concurrency_limit"],
            "base_job_template": job_template(command),
        },
        queues=_queues(raw["queues"], environments),
        automations=[{**one, "name": f"{AUTOMATION_PREFIX}{one['name']}"} for one in automations],
        limits=[limit_name(key) for environment in environments for key in environment.keys],
    )


def _queues(entries: Sequence[Mapping[str, Any]], environments: Sequence[Environment]) -> list[Mapping[str, Any]]:
    """Lower number = served first, strictly: https://docs.prefect.io/v3/concepts/work-pools#work-queues"""
    queues = written_out(entries, list(reversed(environments)))
    return [{**queue, "priority": number} for number, queue in enumerate(queues, start=1)]


def job_template(command: str) -> dict[str, Any]:
    """What a process worker needs to know of a run; the field names are the worker's own."""
    fields = ("command", "env", "labels", "name", "stream_output", "working_dir")
    text = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
    table = {"type": "object", "additionalProperties": {"type": "string"}}
    return {
        "job_configuration": {field: f"{{{{ {field} }}}}" for field in fields},
        "variables": {
            "type": "object",
            "properties": {
                "name": {**text, "title": "Name"},
                "env": {**table, "title": "Environment Variables"},
                "labels": {**table, "title": "Labels"},
                "command": {**text, "title": "Command", "default": command},
                "stream_output": {"type": "boolean", "title": "Stream Output", "default": True},
                "working_dir": {**text, "title": "Working Directory"},
            },
        },
    }


def observe(api: PrefectApi, *, pool: str) -> Seen:
    """Read the server."""
    found = api.find(f"/work_pools/{pool}")
    queues = api.post(f"/work_pools/{pool}/queues/filter") if found else []
    return Seen(
        pool=found,
        queues=queues,
        automations=api.post("/automations/filter", {"limit": 200}),
        limits=api.post("/v2/concurrency_limits/filter", {"limit": 200}),
    )


def sync(api: PrefectApi, wanted: Wanted) -> Outcome:
    """Close the gap; Noop where there is none."""
    calls = plan_sync(wanted, observe(api, pool=str(wanted.pool["name"])))
    for call in calls:
        api.call(call.method, call.path, call.body)
    if not calls:
        return Noop("pool, queues, locks and automations are as the files say")
    return Done("; ".join(call.what for call in calls))
