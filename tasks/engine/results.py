"""What a finished run tells the world: the facts of the cluster, what to do next, and an event for others."""

from collections.abc import Mapping
from typing import Any

from tasks.engine.artifacts import facts_markdown
from tasks.engine.events import ClusterEvent, emit
from tasks.engine.stages import Recipe


def event_facts(
    facts: Mapping[str, Any], plan: Mapping[str, Any], proof: Mapping[str, Any], *, reason: str
) -> dict[str, str | int]:
    """The payload of a deployed cluster (pure)."""
    return {
        "release": str(proof["release"]),
        "release_digest": str(proof["release_digest"]),
        "talos_version": str(facts["talos_version"]),
        "k8s_version": str(facts["k8s_version"]),
        "git_sha": str(facts["commit"]),
        "plan_digest": str(plan["digest"]),
        "reason": reason,
    }


def next_steps(cluster: str) -> list[str]:
    """What a person does with the cluster (pure)."""
    return [
        f"export KUBECONFIG=.infraflux/clusters/{cluster}/kubeconfig",
        "kubectl get nodes",
        "kubectl -n argocd get applications",
        "kubectl -n argocd port-forward service/argocd-server 8443:443  # Argo CD at https://localhost:8443",
    ]


def announce_deployed(
    run: Recipe, facts: Mapping[str, Any], plan: Mapping[str, Any], proof: Mapping[str, Any], *, reason: str
) -> None:
    """Only after the stages before proved it."""
    cluster = run.run.cluster
    shown = {
        "API": facts["endpoint"],
        "nodes": facts["nodes"],
        "Talos": facts["talos_version"],
        "Kubernetes": facts["k8s_version"],
        "commit": str(facts["commit"]) or "none",
        "release": str(proof["release"]) or "none",
        "plan": f"{plan['summary']} ({str(plan['digest'])[:12]})",
        "seconds": f"{run.report.total_s:.1f}",
    }
    text = facts_markdown(cluster, shown, next_steps=next_steps(cluster))
    run.report.publish("cluster", markdown=text, description="What stands, and what to do with it")
    said = event_facts(facts, plan, proof, reason=reason)
    emit(ClusterEvent.VERIFIED, cluster=cluster, facts=said)
    emit(ClusterEvent.DEPLOYED, cluster=cluster, facts=said)


def announce_destroyed(run: Recipe, facts: Mapping[str, Any], plan: Mapping[str, Any], *, reason: str) -> None:
    """Only after nothing of ours was left."""
    cluster = run.run.cluster
    shown = {
        "was": plan["summary"],
        "kept": "the Talos secrets bundle and the last Terraform states",
        "commit": str(facts["commit"]) or "none",
        "reason": reason or "none given",
    }
    text = facts_markdown(f"{cluster}: destroyed", shown, next_steps=[f"infraflux deploy {cluster}"])
    run.report.publish("cluster", markdown=text, description="Destroyed")
    said = {"git_sha": str(facts["commit"]), "plan_digest": str(plan["digest"]), "reason": reason}
    emit(ClusterEvent.DESTROYED, cluster=cluster, facts=said)
