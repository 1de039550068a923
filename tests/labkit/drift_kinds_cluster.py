"""The rest of the kinds of drift: what somebody with kubectl, or a push to Git, does to the cluster."""

import base64
import json
from dataclasses import replace
from typing import Any

from labkit.drift_kinds import CP, DANGEROUS, REPAIRABLE, WORKER, Act, Kind, Told
from labkit.drift_world import World

from infraflux.drift.findings import DriftClass, Layer, Owner
from infraflux.drift.kubernetes import CONTROL_PLANE_TAINT
from infraflux.operations.node_labels import reconcile_labels
from infraflux_lab.kubernetes.objects import CONTROL_PLANE_LABEL
from infraflux_lab.kubernetes.programs import KWOK_LABEL, KWOK_LABEL_VALUE

NODE = "/api/v1/nodes"
POOL = "infraflux.io/pool"
ARGO = "/apis/argoproj.io/v1alpha1/namespaces/argocd"
PROJECTS, APPLICATIONS = f"{ARGO}/appprojects", f"{ARGO}/applications"
SECRETS = "/api/v1/namespaces/argocd/secrets"
CLUSTER_SECRET = f"{SECRETS}/cluster-dev-1"
CONTROLLER = "/apis/apps/v1/namespaces/argocd/statefulsets/argocd-application-controller"
CILIUM_CONFIG = "/api/v1/namespaces/kube-system/configmaps/cilium-config"
GENERATED = "generated.infraflux.io/cilium"


def patching(path: str, body: Any, **how: str) -> Act:
    return lambda world: world.patch(path, body, **how)


# Kubernetes


def of_node(name: str, field: str, owner: Owner = Owner.TALOSCTL) -> Told:
    return Told(object=f"Node {name}", field=field, drift_class=DANGEROUS, owner=owner)


def node(name: str, told: Told, inject: Act, undo: Act, **more: Any) -> Kind:
    return Kind(name=name, layer=Layer.KUBERNETES, told=(told,), inject=inject, undo=undo, **more)


def deleted_node(world: World) -> None:
    world.send("DELETE", f"{NODE}/{WORKER}")


def registered_again(world: World) -> None:
    """What restarting its kubelet does, and then a deploy: the node may not write its role on itself."""
    address = next(str(one.address) for one in world.spec().nodes if one.name == WORKER)
    world.talos.admin.call("reboot", "--timeout=90s", node=address, deadline_s=120)
    reconcile_labels(world.talos)
    world.until(lambda: not world.look(layers=[Layer.KUBERNETES]).findings, what="the node")


def forget_ghost(world: World) -> None:
    """The node, and what DaemonSets made for it: nobody runs those, and a node this short-lived can escape them."""
    world.send("DELETE", f"{NODE}/ghost")

    def waiting() -> list[str]:
        pods = world.get("/api/v1/namespaces/kube-system/pods?fieldSelector=spec.nodeName=")["items"]
        return [str(pod["metadata"]["name"]) for pod in pods if not pod["metadata"].get("deletionTimestamp")]

    def swept() -> bool:
        for name in waiting():
            world.send("DELETE", f"/api/v1/namespaces/kube-system/pods/{name}?gracePeriodSeconds=0")
        status = world.get("/apis/apps/v1/namespaces/kube-system/daemonsets/cilium")["status"]
        return int(status["desiredNumberScheduled"]) == len(world.spec().nodes) and not waiting()

    world.until(swept, what="the pods of a node that is gone")


def unready(world: World) -> None:
    conditions = world.get(f"{NODE}/{WORKER}")["status"]["conditions"]
    world.kept["conditions"] = conditions
    # A kubelet that has stopped, and what the node controller makes of it some forty seconds later.
    world.patch(f"{NODE}/{WORKER}", {"metadata": {"labels": {KWOK_LABEL: None}}})
    changed = [one | {"status": "False"} if one["type"] == "Ready" else one for one in conditions]
    world.patch(f"{NODE}/{WORKER}/status", {"status": {"conditions": changed}})


def ready_again(world: World) -> None:
    world.patch(f"{NODE}/{WORKER}", {"metadata": {"labels": {KWOK_LABEL: KWOK_LABEL_VALUE}}})
    world.patch(f"{NODE}/{WORKER}/status", {"status": {"conditions": world.kept["conditions"]}})
    world.until(lambda: not world.look(layers=[Layer.KUBERNETES]).findings, what="the kubelet")


def kubelet(version: str) -> Act:
    return patching(f"{NODE}/{WORKER}/status", {"status": {"nodeInfo": {"kubeletVersion": version}}})


def addressed(world: World, address: str) -> None:
    known = world.get(f"{NODE}/{WORKER}")["status"]["addresses"]
    changed = [one | {"address": address} if one["type"] == "InternalIP" else one for one in known]
    world.patch(f"{NODE}/{WORKER}/status", {"status": {"addresses": changed}})


KUBERNETES = (
    node("a node deleted", of_node(WORKER, "registration"), deleted_node, registered_again),
    node("a node not Ready", of_node(WORKER, "Ready"), unready, ready_again, slow=True),
    node(
        "a node cordoned",
        of_node(CP, "schedulable", Owner.NOBODY),
        patching(f"{NODE}/{CP}", {"spec": {"unschedulable": True}}),
        patching(f"{NODE}/{CP}", {"spec": {"unschedulable": None}}),
    ),
    node(
        "a taint that somebody added",
        of_node(WORKER, "taint mine:NoSchedule", Owner.NOBODY),
        patching(f"{NODE}/{WORKER}", {"spec": {"taints": [{"key": "mine", "effect": "NoSchedule"}]}}),
        patching(f"{NODE}/{WORKER}", {"spec": {"taints": None}}),
    ),
    node(
        "a control plane opened to workloads",
        of_node(CP, f"taint {CONTROL_PLANE_TAINT}"),
        patching(f"{NODE}/{CP}", {"spec": {"taints": None}}),
        patching(f"{NODE}/{CP}", {"spec": {"taints": [{"key": CONTROL_PLANE_LABEL, "effect": "NoSchedule"}]}}),
    ),
    node(
        "a label taken away",
        replace(of_node(WORKER, f"label {POOL}", Owner.INFRAFLUX), drift_class=REPAIRABLE),
        patching(f"{NODE}/{WORKER}", {"metadata": {"labels": {POOL: None}}}),
        lambda world: reconcile_labels(world.talos),
    ),
    node("another kubelet", of_node(WORKER, "kubelet version"), kubelet("v1.36.1"), kubelet("v1.36.3")),
    node(
        "another address",
        of_node(WORKER, "address"),
        lambda world: addressed(world, "127.0.0.99"),
        lambda world: addressed(world, f"{world.project.net}.1.21"),
    ),
    node(
        "a node that nobody declared",
        of_node("ghost", "registration", Owner.NOBODY),
        lambda world: world.send("POST", NODE, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "ghost"}}),
        forget_ghost,
    ),
)


# GitOps


def ours(object_: str, field: str, drift_class: DriftClass = REPAIRABLE) -> Told:
    return Told(object=object_, field=field, drift_class=drift_class, owner=Owner.TERRAFORM)


def of_argo(object_: str, field: str, drift_class: DriftClass) -> Told:
    return Told(object=object_, field=field, drift_class=drift_class, owner=Owner.ARGOCD)


def put_back(world: World) -> None:
    """Our own objects again, and Argo CD done with whatever the change led it to."""
    world.hand_off()
    world.synced()


def gitops(name: str, *told: Told, inject: Act, undo: Act = put_back, unknown: str = "") -> Kind:
    """All of them slow: Argo CD acts on what is injected as well, and its controllers take their time."""
    return Kind(name=name, layer=Layer.GITOPS, told=told, inject=inject, undo=undo, unknown=unknown, slow=True)


def without(path: str, body: Any) -> Act:
    def undo(world: World) -> None:
        world.patch(path, body)
        put_back(world)

    return undo


def other_cilium_values(world: World) -> None:
    values = json.loads(world.get(CLUSTER_SECRET)["metadata"]["annotations"][GENERATED])
    body = {"metadata": {"annotations": {GENERATED: json.dumps(values | {"MTU": 1400})}}}
    world.patch(CLUSTER_SECRET, body)


def frozen_and_edited(world: World) -> None:
    """A sync window that lets nothing through, and Cilium's configuration edited behind it."""
    window = {"kind": "deny", "schedule": "* * * * *", "duration": "24h", "applications": ["*"]}
    world.patch(f"{PROJECTS}/platform", {"spec": {"syncWindows": [window]}})
    world.patch(CILIUM_CONFIG, {"data": {"mtu": "1400"}})


def broken_application(world: World) -> None:
    """A directory that reaches out of the fence: Argo CD refuses it, and says so."""
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: evil}\n"
    world.push_app("kube-system/evil", manifest)


def mended_application(world: World) -> None:
    world.revert_app()
    world.until(lambda: not world.look(layers=[Layer.GITOPS]).findings, what="Argo CD to forget it")


def other_server(world: World) -> None:
    text = base64.b64encode(b"https://elsewhere.example.org").decode()
    world.patch(CLUSTER_SECRET, {"data": {"server": text}})


GITOPS = (
    gitops(
        "a project's sources widened",
        ours("AppProject argocd/applications", "spec.sourceRepos"),
        inject=patching(f"{PROJECTS}/applications", {"spec": {"sourceRepos": ["*"]}}),
    ),
    gitops(
        "a right added to a project",
        ours("AppProject argocd/default", "spec.clusterResourceWhitelist", DANGEROUS),
        inject=patching(f"{PROJECTS}/default", {"spec": {"clusterResourceWhitelist": [{"group": "*", "kind": "*"}]}}),
        undo=without(f"{PROJECTS}/default", {"spec": {"clusterResourceWhitelist": None}}),
    ),
    gitops(
        "the root follows another branch",
        ours("Application argocd/root", "spec.source.targetRevision"),
        inject=patching(f"{APPLICATIONS}/root", {"spec": {"source": {"targetRevision": "HEAD"}}}),
    ),
    gitops(
        "the root deleted",
        ours("Application argocd/root", "existence"),
        inject=lambda world: world.send("DELETE", f"{APPLICATIONS}/root"),
    ),
    gitops(
        "a label of the cluster's registration",
        ours("Secret argocd/cluster-dev-1", "metadata.labels.infraflux.io/cluster"),
        inject=patching(CLUSTER_SECRET, {"metadata": {"labels": {"infraflux.io/cluster": "other"}}}),
    ),
    gitops(
        "Cilium's values in the cluster's registration",
        ours("Secret argocd/cluster-dev-1", f"metadata.annotations.{GENERATED}"),
        inject=other_cilium_values,
    ),
    gitops(
        "a fact that nobody declared",
        ours("Secret argocd/cluster-dev-1", "metadata.annotations.values.infraflux.io/velero", DANGEROUS),
        inject=patching(CLUSTER_SECRET, {"metadata": {"annotations": {"values.infraflux.io/velero": "{}"}}}),
        undo=without(CLUSTER_SECRET, {"metadata": {"annotations": {"values.infraflux.io/velero": None}}}),
    ),
    gitops(
        "another secret zero",
        replace(ours("Secret argocd/sops-age", "data.keys.txt"), owner=Owner.INFRAFLUX),
        inject=patching(f"{SECRETS}/sops-age", {"data": {"keys.txt": base64.b64encode(b"another").decode()}}),
    ),
    gitops(
        "a namespace's guard lowered",
        ours("Namespace apps", "metadata.labels.pod-security.kubernetes.io/enforce"),
        inject=patching(
            "/api/v1/namespaces/apps", {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}
        ),
    ),
    gitops(
        "a fact for the applications",
        ours("ConfigMap apps/infraflux-facts", "data.domain"),
        inject=patching("/api/v1/namespaces/apps/configmaps/infraflux-facts", {"data": {"domain": "example.org"}}),
    ),
    gitops(
        "Cilium edited on the cluster while syncs are frozen",
        ours("AppProject argocd/platform", "spec.syncWindows", DANGEROUS),
        of_argo("Application cilium", "sync", REPAIRABLE),
        inject=frozen_and_edited,
        undo=without(f"{PROJECTS}/platform", {"spec": {"syncWindows": None}}),
    ),
    gitops(
        "Argo CD's controller stopped",
        of_argo("StatefulSet argocd/argocd-application-controller", "ready replicas", DANGEROUS),
        inject=patching(CONTROLLER, {"spec": {"replicas": 0}}),
        undo=without(CONTROLLER, {"spec": {"replicas": 1}}),
        unknown="what Applications say is of before",
    ),
    gitops(
        "an application that Argo CD refuses",
        of_argo("Application kube-system-evil", "sync", REPAIRABLE),
        of_argo("Application kube-system-evil", "health", DANGEROUS),
        inject=broken_application,
        undo=mended_application,
    ),
)
