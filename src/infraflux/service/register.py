"""Register the deployments of `prefect.yaml`, each environment's, only when something they are made of changed."""

import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from infraflux.config.environments import Environment
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.core.process import run
from infraflux.service.api import PrefectApi
from infraflux.service.files import read_json, write_if_changed, write_json
from infraflux.service.templates import written_out

SOURCES = ("flows/**/*.py", "config/**/*.yaml", "clusters/**/*.yaml")
"""What a deployment's parameter form is made of, beside prefect.yaml: the flows, and the names of the clusters."""

DEADLINE_S = 900.0
"""Seconds on a quiet machine; a server under load answers each of its requests after a long wait."""


def fingerprint(project: Path, *, salt: str) -> str:
    """Digest of the sources; `salt` names server and environments: another server knows nothing yet."""
    digest = hashlib.sha256(salt.encode())
    files = [project / "prefect.yaml", *(path for glob in SOURCES for path in sorted(project.glob(glob)))]
    for path in files:
        digest.update(str(path.relative_to(project)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def written_out_file(project: Path, environments: Sequence[Environment]) -> dict[str, Any]:
    """`prefect.yaml` as Prefect reads it: every entry written out for the environments there are."""
    document: dict[str, Any] = YAML(typ="safe", pure=True).load(project / "prefect.yaml")
    definitions_are_only_for_anchors = {key: value for key, value in document.items() if key != "definitions"}
    return {**definitions_are_only_for_anchors, "deployments": written_out(document["deployments"], environments)}


def names_of(document: Mapping[str, Any]) -> list[str]:
    """`<flow>/<deployment>` of each deployment."""
    return [f"{Path(one['entrypoint'].partition(':')[0]).stem}/{one['name']}" for one in document["deployments"]]


def register(
    project: Path,
    *,
    environments: Sequence[Environment],
    environ: Mapping[str, str],
    server: str,
    record: Path,
    api: PrefectApi,
) -> Outcome:
    """`prefect deploy --all`; Noop where nothing changed and the server still has deployments.

    What an earlier registration made and the files no longer have is removed from the server.
    """
    wanted = fingerprint(project, salt=f"{server} {environments}")
    before = read_json(record) or {}
    if before.get("fingerprint") == wanted and api.post("/deployments/count"):
        return Noop("prefect.yaml, flows and clusters are as registered")
    document = written_out_file(project, environments)
    written = record.with_name("prefect.yaml")
    text = StringIO()
    YAML(typ="safe", pure=True).dump(document, text)
    write_if_changed(written, text.getvalue())
    _deploy_all(project, written, environ)
    names = names_of(document)
    gone = _remove(api, [name for name in before.get("deployments", ()) if name not in names])
    write_json(record, {"fingerprint": wanted, "deployments": names})
    done = f"registered {len(names)} deployments of prefect.yaml"
    return Done(f"{done}; removed {', '.join(gone)}" if gone else done)


def _deploy_all(project: Path, file: Path, environ: Mapping[str, str]) -> None:
    argv = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
    completed = run(argv, cwd=project, env={**os.environ, **environ}, deadline_s=DEADLINE_S)
    # `deploy --all` ends with 0 even where one deployment failed.
    if completed.returncode != 0 or "failed" in completed.stdout.lower():
        raise Permanent(
            f"prefect deploy --all failed:\n{completed.stdout[-3000:]}\n{completed.stderr[-3000:]}",
            stage="service",
            error_class=ErrorClass.CONFIG,
            next_step="correct prefect.yaml or the flow it names",
        )


def _remove(api: PrefectApi, names: Sequence[str]) -> list[str]:
    """Remove deployments by name, with the automations of their triggers; those that were there."""
    gone = []
    for name in names:
        if found := api.find(f"/deployments/name/{name}"):
            # The server keeps a trigger's automation, which would fail at each event from then on.
            api.delete(f"/automations/owned-by/prefect.deployment.{found['id']}")
            api.delete(f"/deployments/{found['id']}")
            gone.append(name)
    return gone
