"""Bootstrap manifests as Talos applies them: only what is absent and was never applied before.

internal/app/machined/pkg/controllers/k8s/manifest_apply.go (Talos 1.13): namespaces first, then CRDs, then the rest;
what the inventory names is never looked at again, so an object that somebody deleted stays away until `upgrade-k8s`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infraflux_lab.kubernetes.api import ApiClient, ApiError

Document = Mapping[str, Any]
FIELD_MANAGER = "talos"
INVENTORY = "talos-bootstrap-manifests-inventory"
_INVENTORY_PATH = f"/api/v1/namespaces/kube-system/configmaps/{INVENTORY}"
_OWNER_ANNOTATION = "config.k8s.io/owning-inventory"
# Answers that speak of the object; anything else is the API server's state, and everything is tried again.
_OBJECT_ERRORS = frozenset({400, 405, 422})


@dataclass(frozen=True, kw_only=True)
class Refused:
    """An object that the API server does not take."""

    name: str
    why: str


async def apply_manifests(api: ApiClient, objects: Sequence[Document]) -> list[Refused]:
    """Create what is not there; the answer names what was refused. ApiError where the API server cannot be asked."""
    known = (await api.get(_INVENTORY_PATH) or {}).get("data") or {}
    inventory, refused, kinds = set(known), [], _Kinds(api)
    try:
        for document in sorted(objects, key=_rank):
            if (problem := await _apply(api, kinds, document, inventory)) is not None:
                refused.append(problem)
    finally:
        if inventory != set(known):
            await _write_inventory(api, inventory)
    return refused


def _rank(document: Document) -> int:
    return {"Namespace": 0, "CustomResourceDefinition": 1}.get(str(document.get("kind")), 2)


async def _apply(api: ApiClient, kinds: "_Kinds", document: Document, inventory: set[str]) -> Refused | None:
    name = f"{document.get('apiVersion')}/{document.get('kind')}/{(document.get('metadata') or {}).get('name')}"
    place = await kinds.find(document)
    if place is None:
        return Refused(name=name, why="no such kind")
    path, namespace = place
    entry = inventory_entry(document, namespace=namespace)
    if entry in inventory:
        return None
    if await api.get(path) is None:
        try:
            await api.apply(path, _owned(document, namespace), manager=FIELD_MANAGER, force=False)
        except ApiError as error:
            if error.status not in _OBJECT_ERRORS:
                raise
            return Refused(name=name, why=str(error))
    inventory.add(entry)
    return None


def _owned(document: Document, namespace: str) -> dict[str, Any]:
    metadata = dict(document["metadata"])
    metadata["annotations"] = {**(metadata.get("annotations") or {}), _OWNER_ANNOTATION: INVENTORY}
    metadata.pop("namespace", None)
    if namespace:
        metadata["namespace"] = namespace
    return {**document, "metadata": metadata}


def inventory_entry(document: Document, *, namespace: str) -> str:
    """`<namespace>_<name>_<group>_<kind>`; a colon in a name of RBAC, which no key may hold, is doubled underscores.

    fluxcd/cli-utils pkg/object/objmetadata.go, which Talos' inventory is written with.
    """
    group = str(document["apiVersion"]).rpartition("/")[0]
    name = str(document["metadata"]["name"])
    if group == "rbac.authorization.k8s.io":
        name = name.replace(":", "__")
    return f"{namespace}_{name}_{group}_{document['kind']}"


async def _write_inventory(api: ApiClient, inventory: set[str]) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": INVENTORY, "namespace": "kube-system"},
        "data": dict.fromkeys(sorted(inventory), ""),
    }
    await api.apply(_INVENTORY_PATH, body, manager=FIELD_MANAGER)


class _Kinds:
    """Where objects of a kind live, as the API server's discovery says."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._lists: dict[str, list[dict[str, Any]]] = {}

    async def find(self, document: Document) -> tuple[str, str] | None:
        """Path of the object and its namespace; None for a kind that nobody serves."""
        version, kind = str(document.get("apiVersion")), document.get("kind")
        name = (document.get("metadata") or {}).get("name")
        root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
        found = next((one for one in await self._served(root) if one["kind"] == kind and "/" not in one["name"]), None)
        if found is None or not name:
            return None
        if not found["namespaced"]:
            return f"{root}/{found['name']}/{name}", ""
        namespace = str(document["metadata"].get("namespace") or "default")
        return f"{root}/namespaces/{namespace}/{found['name']}/{name}", namespace

    async def _served(self, root: str) -> list[dict[str, Any]]:
        if not self._lists.get(root):
            self._lists[root] = list((await self._api.get(root) or {}).get("resources") or ())
        return self._lists[root]
