"""The first stage: open the cluster, from one frozen tree of files, for the whole run."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from infraflux.config.models import ClusterSpec
from infraflux.config.secrets_ref import resolve
from infraflux.core.errors import InfrafluxError, Permanent
from infraflux.operations import opening
from infraflux.operations.opening import OpenCluster
from tasks.engine.masking import add_secrets
from tasks.engine.step import log_line, project_root, step

REFERENCE_PREFIXES = ("env:", "file:", "age:")


def secret_references(node: Any) -> set[str]:
    """Every secret reference in a model (pure)."""
    if isinstance(node, BaseModel):
        return secret_references(dict(node))
    if isinstance(node, dict):
        return {one for value in node.values() for one in secret_references(value)}
    if isinstance(node, (list, tuple)):
        return {one for value in node for one in secret_references(value)}
    return {node} if isinstance(node, str) and node.startswith(REFERENCE_PREFIXES) else set()


def learn_secrets(spec: ClusterSpec, root: Path) -> int:
    """Feed the log mask with every secret the configuration points at; returns how many there are.

    What cannot be read is passed over: it cannot leak, and preflight says what is missing.
    """
    values = set()
    for reference in secret_references(spec):
        try:
            value = resolve(reference, root=root).reveal()
        except InfrafluxError:
            continue
        values |= {value, *value.splitlines()}
    add_secrets(values)
    return len(values)


@step("load and validate configuration", retries=0)
def open_cluster(*, cluster: str) -> OpenCluster:
    """Freeze the files, load the whole fleet, check it, open one cluster of it. Raises every mistake at once."""
    opened = opening.open_cluster(project_root(), cluster, log=log_line, learn=add_secrets)
    spec = opened.spec
    learn_secrets(spec, opened.root)
    log_line(f"{spec.key}: {len(spec.nodes)} nodes, Talos {spec.versions.talos}, Kubernetes {spec.versions.kubernetes}")
    log_line(f"acting for {opened.head}")
    if spec.simulation_notice:
        log_line(spec.simulation_notice)
    return opened


def judge_destroy(*, cluster: str, confirm: str, dry_run: bool, protection: str) -> str:
    """Whether a cluster may be destroyed (pure); Permanent where not. `protection`: what to change first."""
    if protection:
        raise Permanent(
            f"the policy of {cluster.partition('/')[0]} allows no destruction",
            cluster=cluster,
            stage="confirm",
            next_step=protection,
        )
    if dry_run:
        return "dry run: nothing to confirm"
    if confirm != cluster:
        raise Permanent(
            f"the confirmation is {confirm!r}, not {cluster!r}",
            cluster=cluster,
            stage="confirm",
            next_step=f"type {cluster} exactly",
        )
    return "confirmed"


@step("check confirmation", retries=0)
def check_destroy(*, opened: OpenCluster, confirm: str, dry_run: bool) -> str:
    """Refuse without the typed name, and before anything is touched where the policy protects the cluster."""
    protection = opened.spec.policy.protection
    return judge_destroy(cluster=opened.key, confirm=confirm, dry_run=dry_run, protection=protection)
