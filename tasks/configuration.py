"""The first stage: what is wanted, from which commit, and by which rules."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from infraflux.adapters.git_head import Head, read_head
from infraflux.config.load import load_cluster
from infraflux.config.models import ClusterSpec
from infraflux.config.secrets_ref import resolve
from infraflux.core.errors import ErrorClass, InfrafluxError, Permanent
from tasks.engine.masking import add_secrets
from tasks.engine.step import log_line, project_root, step

REFERENCE_PREFIXES = ("env:", "file:", "age:")


def check_commit(spec: ClusterSpec, head: Head) -> None:
    """Refuse a working tree that no commit describes, where the environment's policy says so (pure)."""
    if not spec.policy.require_clean_git or (head.commit and not head.dirty):
        return
    raise Permanent(
        f"the working tree is at {head}, and {spec.environment} acts for commits only",
        cluster=spec.key,
        stage="load",
        error_class=ErrorClass.USER,
        next_step="commit or stash the changes, then start again",
    )


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


def facts_of(spec: ClusterSpec, head: Head) -> dict[str, Any]:
    """The small plain facts of a cluster that a recipe decides by (pure)."""
    return {
        "summary": f"{len(spec.nodes)} nodes, at {head}",
        "cluster": spec.key,
        "commit": head.commit,
        "dirty": head.dirty,
        "talos_version": spec.versions.talos,
        "k8s_version": spec.versions.kubernetes,
        "nodes": len(spec.nodes),
        "endpoint": spec.endpoint,
        "approval_required": spec.policy.approval.required,
        "approval_timeout_s": spec.policy.approval.timeout_s,
        "protection": spec.policy.protection,
        "simulated": spec.proxmox.simulated,
    }


@step("load and validate configuration", retries=0)
def load_configuration(*, cluster: str) -> dict[str, Any]:
    """Load the whole fleet, check it, and return the facts of one cluster. Raises every mistake at once."""
    root = project_root()
    spec = load_cluster(root, cluster)
    head = read_head(root)
    check_commit(spec, head)
    learn_secrets(spec, root)
    log_line(f"{spec.key}: {len(spec.nodes)} nodes, Talos {spec.versions.talos}, Kubernetes {spec.versions.kubernetes}")
    log_line(f"acting for {head}")
    if spec.proxmox.simulated:
        log_line(spec.proxmox.simulated)
    return facts_of(spec, head)


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


@step("check the confirmation", retries=0)
def check_destroy(*, cluster: str, confirm: str, dry_run: bool, protection: str) -> str:
    """Refuse without the typed name, and before anything is touched where the policy protects the cluster."""
    return judge_destroy(cluster=cluster, confirm=confirm, dry_run=dry_run, protection=protection)
