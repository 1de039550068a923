"""Register the deployments of `prefect.yaml`, only when something they are made of changed."""

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.core.process import run
from infraflux.service.files import read_json, write_json

SOURCES = ("flows/**/*.py", "config/**/*.yaml", "clusters/**/*.yaml")
"""What a deployment's parameter form is made of, beside prefect.yaml: the flows, and the names of the clusters."""

DEADLINE_S = 900.0
"""Seconds on a quiet machine; a server under load answers each of its requests after a long wait."""


def fingerprint(project: Path, *, salt: str) -> str:
    """Digest of the sources; `salt` names the server, since another one knows nothing yet."""
    digest = hashlib.sha256(salt.encode())
    files = [project / "prefect.yaml", *(path for glob in SOURCES for path in sorted(project.glob(glob)))]
    for path in files:
        digest.update(str(path.relative_to(project)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def register(
    project: Path, *, environment: Mapping[str, str], server: str, record: Path, count_on_server: int
) -> Outcome:
    """`prefect deploy --all`; Noop where nothing changed and the server still has deployments."""
    wanted = fingerprint(project, salt=server)
    if read_json(record) == {"fingerprint": wanted} and count_on_server:
        return Noop("prefect.yaml, flows and clusters are as registered")
    argv = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    completed = run(argv, cwd=project, env={**os.environ, **environment}, deadline_s=DEADLINE_S)
    # `deploy --all` ends with 0 even where one deployment failed.
    if completed.returncode != 0 or "failed" in completed.stdout.lower():
        raise Permanent(
            f"prefect deploy --all failed:\n{completed.stdout[-3000:]}\n{completed.stderr[-3000:]}",
            stage="service",
            error_class=ErrorClass.CONFIG,
            next_step="correct prefect.yaml or the flow it names",
        )
    write_json(record, {"fingerprint": wanted})
    return Done("registered all deployments of prefect.yaml")
