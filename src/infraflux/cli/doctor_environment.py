"""What stops a deploy of one environment, in one list: configuration, Git, token, Proxmox, service."""

import os
from collections.abc import Iterator
from pathlib import Path

from infraflux.adapters.git_head import read_head
from infraflux.adapters.git_repo import remote_commit
from infraflux.adapters.proxmox.client import ProxmoxReader
from infraflux.adapters.proxmox.observe import observe
from infraflux.adapters.proxmox.preflight import judge_preflight
from infraflux.cli.diagnosis import Diagnosis, State
from infraflux.cli.service import open_service
from infraflux.config.load import Examined, examine
from infraflux.config.models import ClusterSpec
from infraflux.config.scaffold import UNDECIDED_GIT
from infraflux.config.secrets_ref import resolve
from infraflux.core.errors import InfrafluxError
from infraflux.operations.machines import proxmox_access

PRIVATE = 0o077
SHOWN = 12


def examine_environment(environment: str, *, root: Path) -> list[Diagnosis]:
    """Every line, in the order in which the problems are to be solved. Raises Permanent for an unknown environment."""
    examined = examine(root)
    keys = examined.select(environment)
    found = list(_configuration(environment, keys, examined))
    specs = [examined.fleet.clusters[key] for key in keys if not examined.by_cluster[key]]
    for spec in specs[:1]:
        found += [*_git(spec, root), *_token(spec, root)]
    for spec in specs:
        found += _proxmox(spec, root)
    return [*found, _service()]


def _configuration(environment: str, keys: tuple[str, ...], examined: Examined) -> Iterator[Diagnosis]:
    problems = [
        *examined.by_environment.get(environment, ()),
        *(one for key in keys for one in examined.by_cluster[key]),
    ]
    for problem in sorted(set(problems)):
        yield _missing("configuration", str(problem), "correct the file")
    if not keys:
        yield _missing(
            "configuration", f"{environment} has no cluster", f"infraflux cluster new {environment}/{environment}-1"
        )
    elif not problems:
        yield _ok("configuration", f"{', '.join(keys)} valid")


def _git(spec: ClusterSpec, root: Path) -> Iterator[Diagnosis]:
    """Argo CD reads the platform of this very commit: it has to be where the cluster looks."""
    repository = spec.gitops.platform
    if repository.url == UNDECIDED_GIT:
        where = f"config/environments/{spec.environment}.yaml"
        yield _missing(
            "git", "gitops.platform.url is still to be decided", f"push this repository, say where in {where}"
        )
        return
    head = read_head(root)
    if not head.commit:
        yield _missing("git", "nothing is committed here", "git add --all && git commit")
        return
    if head.dirty:
        yield _note("git", "there are changes that are not committed", "git add --all && git commit")
    if repository.credentials is not None:
        yield _note(
            "git", f"{repository.url} is read with credentials; whether it has this commit was not asked", "push"
        )
        return
    there = remote_commit(repository.url, repository.revision)
    if there == head.commit:
        yield _ok("git", f"{repository.url} has {head.commit[:12]} at {repository.revision}")
    elif there:
        what = f"{repository.url} has {there[:12]} at {repository.revision}, and here is {head.commit[:12]}"
        yield _missing("git", what, "push first")
    else:
        what = f"{repository.url} does not show {repository.revision} to this machine"
        yield _missing("git", what, "push first, or name its credentials in gitops.platform.credentials")


def _token(spec: ClusterSpec, root: Path) -> Iterator[Diagnosis]:
    reference = spec.proxmox.token.secret
    try:
        resolve(reference, root=root)
    except InfrafluxError as error:
        yield _missing("token", error.message, f"infraflux proxmox token {spec.environment}, its secret to {reference}")
        return
    file = root / reference.removeprefix("file:")
    if reference.startswith("file:") and file.stat().st_mode & PRIVATE:
        yield _note("token", f"others may read {file.relative_to(root)}", f"chmod 600 {file.relative_to(root)}")
    elif reference.startswith("env:") and reference.removeprefix("env:") in os.environ:
        yield _note("token", f"{reference} is set here; the worker has what it was started with", "use file:")
    else:
        yield _ok("token", f"{reference} is there")


def _proxmox(spec: ClusterSpec, root: Path) -> Iterator[Diagnosis]:
    try:
        reader = ProxmoxReader(proxmox_access(spec, root=root))
        findings = judge_preflight(spec, observe(reader, spec))
    except InfrafluxError as error:
        yield _missing("proxmox", error.message, error.next_step or f"check {spec.proxmox.endpoint}")
        return
    for finding in findings[:SHOWN]:
        say = _missing if finding.fatal else _note
        yield say("proxmox", finding.message, "see docs/proxmox.md" if finding.fatal else "")
    if any(finding.missing_right for finding in findings):
        command = f"infraflux proxmox token {spec.environment} --rights-only"
        yield _note("proxmox", "these commands give the token what it lacks", command)
    if not findings:
        yield _ok("proxmox", f"{spec.proxmox.endpoint} has what {spec.key} needs")


def _service() -> Diagnosis:
    if open_service(None, None).status().healthy:
        return _ok("service", "runs")
    return _missing("service", "does not run", "infraflux up")


def _ok(subject: str, detail: str) -> Diagnosis:
    return Diagnosis(subject=subject, state=State.OK, detail=detail)


def _note(subject: str, detail: str, next_step: str) -> Diagnosis:
    return Diagnosis(subject=subject, state=State.NOTE, detail=detail, next_step=next_step)


def _missing(subject: str, detail: str, next_step: str) -> Diagnosis:
    return Diagnosis(subject=subject, state=State.MISSING, detail=detail, next_step=next_step)
