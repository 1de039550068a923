"""What Talos brings to a cluster (CoreDNS, the manifests of `cluster.extraManifests`, ...) beside what the cluster has.

Talos applies these objects where they are absent, once; afterwards only `talosctl upgrade-k8s` brings them forward.
Since 1.13 both do it by server-side apply as the same field manager, with the mark of one inventory
(internal/app/machined/pkg/controllers/k8s/manifest_apply.go; go-kubernetes, kubernetes/ssa), so a dry run as that
manager says what they would change.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from infraflux.adapters.kubernetes.client import KindMissing, Kubernetes
from infraflux.adapters.kubernetes.facts import Manifest, ManifestChange, Ref
from infraflux.adapters.talos.documents import diff_configs
from infraflux.adapters.talos.talosctl import TALOS_ERRORS
from infraflux.config.matrix import minor
from infraflux.core.errors import InfrafluxError
from infraflux.operations.bootstrap import TalosCluster

MANAGER = "talos"
INVENTORY = {"config.k8s.io/owning-inventory": "talos-bootstrap-manifests-inventory"}
"""`KubernetesFieldManagerName`, `InventoryAnnotationKey`, `KubernetesBootstrapManifestsInventoryName`."""
FIRST = (1, 13)
"""The Talos that began with that; of older ones nobody can say it without changing something."""
_BOOKKEEPING = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")


def look_at_manifests(talos: TalosCluster, kubernetes: Kubernetes) -> dict[str, Any]:
    """That part of `PlatformSeen`: what differs, or why it is not known."""
    if minor(talos.spec.versions.talos) < FIRST:
        return {}
    try:
        objects = list(_wanted(talos))
        return {"manifests": tuple(change for one in objects for change in _changes(kubernetes, one))}
    except InfrafluxError as error:
        return {"manifests_unknown": error.message}


def _wanted(talos: TalosCluster) -> Iterator[Manifest]:
    """As the first control plane that answers has them."""
    for node in talos.spec.control_planes:
        try:
            found = talos.admin.get("manifests", node=str(node.address))
        except TALOS_ERRORS as error:
            talos.log(f"{node.name}: {error.message}")
            continue
        for manifest in found:
            for one in manifest.spec or ():
                yield one.get("object", one)
        return


def _changes(kubernetes: Kubernetes, manifest: Mapping[str, Any]) -> Iterator[ManifestChange]:
    metadata = manifest["metadata"]
    annotations = {**(metadata.get("annotations") or {}), **INVENTORY}
    marked = {**manifest, "metadata": {**metadata, "annotations": annotations}}
    ref = Ref.of(marked)
    try:
        before, after = kubernetes.preview(marked, manager=MANAGER)
    except KindMissing:
        yield ManifestChange(object=str(ref), field="", before="(absent)", after="created, with its kind")
        return
    if before is None:
        yield ManifestChange(object=str(ref), field="", before="(absent)", after="created")
        return
    secret = manifest["kind"] == "Secret"
    for one in diff_configs(_text(after), _text(before)):
        left, right = ("***", "***") if secret else (one.seen, one.wanted)
        yield ManifestChange(object=str(ref), field=one.path.removeprefix(f"{ref.kind}."), before=left, after=right)


def _text(document: Manifest) -> str:
    """Without what the API server keeps for itself, and without a name of its own: one document on each side."""
    metadata = {key: value for key, value in document["metadata"].items() if key not in _BOOKKEEPING}
    content = {key: value for key, value in document.items() if key not in ("apiVersion", "status")}
    return json.dumps({**content, "metadata": metadata})
