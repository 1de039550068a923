"""What Talos brings with it beside what the cluster has: by a dry run as Talos, secrets shown nowhere."""

import json
from pathlib import Path
from typing import Any, cast

from fakes.plans import spec_of_five

from infraflux.adapters.kubernetes.client import KindMissing
from infraflux.adapters.kubernetes.facts import ManifestChange
from infraflux.adapters.talos.talosctl import Talosctl
from infraflux.core.errors import Retryable
from infraflux.core.process import Completed
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.bootstrap_manifests import look_at_manifests


def named(kind: str, name: str, **content: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "kube-system"}, **content}


DNS = named("ConfigMap", "coredns", data={"Corefile": "new"})
TOKEN = named("Secret", "bootstrap-token", data={"token": "bmV3"})
ROUTE = {"apiVersion": "gateway/v1", "kind": "Gateway", "metadata": {"name": "gateway"}}


class Api:
    """Applies as the real one does: what is sent replaces what is there, field by field."""

    def __init__(self, *live: dict[str, Any], error: Exception | None = None) -> None:
        self.live = {(one["kind"], one["metadata"]["name"]): one for one in live}
        self.error = error
        self.managers: set[str] = set()

    def preview(self, manifest: dict[str, Any], *, manager: str) -> tuple[dict[str, Any] | None, dict[str, Any]]:
        if self.error:
            raise self.error
        self.managers.add(manager)
        if manifest["kind"] == "Gateway":
            raise KindMissing("the API server knows no Gateway")
        before = self.live.get((manifest["kind"], manifest["metadata"]["name"]))
        kept = (before or {}).get("metadata", {})
        after = {**(before or {}), **manifest, "metadata": {**kept, **manifest["metadata"], "resourceVersion": "9"}}
        return before, after


def talos(tmp_path: Path, *objects: dict[str, Any], dead: tuple[str, ...] = (), **spec: Any) -> TalosCluster:
    def run(argv: Any, *, deadline_s: float, on_line: Any = None) -> Completed:
        words = [str(one) for one in argv]
        address = words[words.index("--nodes") + 1]
        if address in dead:
            refused = "rpc error: code = Unavailable desc = connection refused"
            return Completed(argv=("talosctl",), returncode=1, stdout="", stderr=refused, elapsed_s=0)
        said = json.dumps({"metadata": {"id": "11-core-dns"}, "spec": list(objects)})
        return Completed(argv=("talosctl",), returncode=0, stdout=said, stderr="", elapsed_s=0)

    made = spec_of_five(**spec)
    admin = Talosctl(binary=Path("talosctl"), cluster=made.key, runner=run)
    return TalosCluster(workspace=cast(Any, type("W", (), {"spec": made, "admin": admin})()))


def marked(document: dict[str, Any], **content: Any) -> dict[str, Any]:
    """As Talos applied it, with its mark and what the API server keeps for itself."""
    annotations = {"config.k8s.io/owning-inventory": "talos-bootstrap-manifests-inventory"}
    metadata = {**document["metadata"], "annotations": annotations, "resourceVersion": "7", "uid": "u"}
    return {**document, **content, "metadata": metadata}


def test_nothing_differs_after_talos_applied_it(tmp_path: Path) -> None:
    api = Api(marked(DNS), marked(TOKEN))
    assert look_at_manifests(talos(tmp_path, DNS, TOKEN), cast(Any, api)) == {"manifests": ()}
    assert api.managers == {"talos"}


def test_each_field_that_differs_is_told_and_no_secret(tmp_path: Path) -> None:
    api = Api(marked(DNS, data={"Corefile": "old"}), marked(TOKEN, data={"token": "b2xk"}))
    found = look_at_manifests(talos(tmp_path, DNS, TOKEN), cast(Any, api))["manifests"]
    assert found == (
        ManifestChange(object="ConfigMap kube-system/coredns", field="data.Corefile", before="old", after="new"),
        ManifestChange(object="Secret kube-system/bootstrap-token", field="data.token", before="***", after="***"),
    )


def test_what_is_absent_is_created(tmp_path: Path) -> None:
    found = look_at_manifests(talos(tmp_path, DNS, ROUTE), cast(Any, Api()))["manifests"]
    assert [(one.object, one.after) for one in found] == [
        ("ConfigMap kube-system/coredns", "created"),
        ("Gateway gateway", "created, with its kind"),
    ]


def test_another_control_plane_is_asked_where_one_is_silent(tmp_path: Path) -> None:
    dead = (str(spec_of_five().control_planes[0].address),)
    assert look_at_manifests(talos(tmp_path, DNS, dead=dead), cast(Any, Api(marked(DNS)))) == {"manifests": ()}


def test_an_api_server_that_does_not_answer_makes_it_unknown(tmp_path: Path) -> None:
    api = Api(error=Retryable("no answer"))
    assert look_at_manifests(talos(tmp_path, DNS), cast(Any, api)) == {"manifests_unknown": "no answer"}


def test_of_an_older_talos_nobody_can_say_it(tmp_path: Path) -> None:
    older = {"talos": "v1.12.4", "kubernetes": "v1.35.4"}
    assert look_at_manifests(talos(tmp_path, DNS, versions=older), cast(Any, Api())) == {}
