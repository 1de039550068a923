"""What a finished run reports: the facts of the cluster, what to do next, and an event for others."""

from infraflux.operations.delivery import Proof
from infraflux.operations.destruction import Destruction
from infraflux.operations.opening import OpenCluster
from infraflux.operations.planning import Planned
from tasks.engine.artifacts import facts_markdown
from tasks.engine.events import ClusterEvent, emit
from tasks.engine.stages import Recipe


def event_facts(opened: OpenCluster, planned: Planned, proof: Proof, *, reason: str) -> dict[str, str | int]:
    """The payload of a deployed cluster (pure)."""
    return {
        "release": proof.release.name if proof.release else "",
        "release_digest": proof.release.digest if proof.release else "",
        "talos_version": opened.spec.versions.talos,
        "k8s_version": opened.spec.versions.kubernetes,
        "git_sha": opened.head.commit,
        "plan_digest": planned.plan.digest,
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


def announce_deployed(run: Recipe, planned: Planned, proof: Proof, *, reason: str) -> None:
    """Only after the stages before proved it."""
    opened, cluster = run.opened, run.run.cluster
    shown = {
        "API": opened.spec.endpoint,
        "nodes": len(opened.spec.nodes),
        "Talos": opened.spec.versions.talos,
        "Kubernetes": opened.spec.versions.kubernetes,
        "commit": opened.head.commit or "none",
        "release": proof.release.name if proof.release else "none",
        "plan": f"{planned} ({planned.plan.digest[:12]})",
        "seconds": f"{run.report.total_s:.1f}",
    }
    text = facts_markdown(cluster, shown, next_steps=next_steps(cluster))
    run.report.publish("cluster", markdown=text, description="What stands, and what to do with it")
    said = event_facts(opened, planned, proof, reason=reason)
    emit(ClusterEvent.VERIFIED, cluster=cluster, facts=said)
    emit(ClusterEvent.DEPLOYED, cluster=cluster, facts=said)


def announce_destroyed(run: Recipe, planned: Destruction, *, reason: str) -> None:
    """Only after nothing of ours was left."""
    cluster, commit = run.run.cluster, run.opened.head.commit
    shown = {
        "was": str(planned),
        "kept": "the Talos secrets bundle and the last Terraform states",
        "commit": commit or "none",
        "reason": reason or "none given",
    }
    text = facts_markdown(f"{cluster}: destroyed", shown, next_steps=[f"infraflux deploy {cluster}"])
    run.report.publish("cluster", markdown=text, description="Destroyed")
    said = {"git_sha": commit, "plan_digest": planned.digest, "reason": reason}
    emit(ClusterEvent.DESTROYED, cluster=cluster, facts=said)
