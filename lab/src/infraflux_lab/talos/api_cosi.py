"""cosi.resource.State: read and follow a machine's resources; writing is refused."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from infraflux_lab.talos.cluster import Clusters
from infraflux_lab.talos.content import Content
from infraflux_lab.talos.context import LabContext
from infraflux_lab.talos.definitions import BY_TYPE, NAMESPACES
from infraflux_lab.talos.errors import TalosError, invalid_argument, not_authorized, not_found, unimplemented
from infraflux_lab.talos.gateway import Call
from infraflux_lab.talos.node import Node
from infraflux_lab.talos.proto import cosi_pb2
from infraflux_lab.talos.resources import snapshot

_Key = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Versioned:
    """A resource with the version and the times the server gives it."""

    content: Content
    version: int
    created_s: float
    updated_s: float

    def message(self) -> cosi_pb2.Resource:
        resource = cosi_pb2.Resource()
        metadata = resource.metadata
        metadata.namespace, metadata.type, metadata.id = self.content.key
        metadata.version, metadata.phase = str(self.version), "running"
        metadata.created.FromNanoseconds(int(self.created_s * 1e9))
        metadata.updated.FromNanoseconds(int(self.updated_s * 1e9))
        metadata.annotations.update(self.content.annotations)
        resource.spec.proto_spec, resource.spec.yaml_spec = self.content.proto, self.content.yaml
        return resource


class Shelf:
    """Versions of one machine's resources during one boot; a version grows whenever the content changed."""

    def __init__(self, boot_id: str) -> None:
        self.boot_id = boot_id
        self._items: dict[_Key, Versioned] = {}

    def update(self, contents: Iterable[Content]) -> dict[_Key, Versioned]:
        now = time.time()
        self._items = {content.key: self._versioned(content, now) for content in contents}
        return self._items

    def _versioned(self, content: Content, now: float) -> Versioned:
        known = self._items.get(content.key)
        if known is None:
            return Versioned(content=content, version=content.version or 1, created_s=now, updated_s=now)
        if known.content == content:
            return known
        version = content.version or known.version + 1
        return Versioned(content=content, version=version, created_s=known.created_s, updated_s=now)


class CosiApi:
    """Handlers, one method per RPC."""

    def __init__(self, context: LabContext, clusters: Clusters) -> None:
        self._context = context
        self._clusters = clusters
        self._shelves: WeakKeyDictionary[Node, Shelf] = WeakKeyDictionary()

    async def refuse_write(self, _call: Call, _request: cosi_pb2.WriteRequest) -> cosi_pb2.WriteResponse:
        raise _denied("write access is not allowed")

    async def get(self, call: Call, request: cosi_pb2.GetRequest) -> cosi_pb2.GetResponse:
        _authorize(call, request.type, request.namespace)
        found = self._current(call.node).get((request.namespace, request.type, request.id))
        if found is None:
            raise not_found(f"resource {request.type}({request.namespace}/{request.id}@undefined) doesn't exist")
        return cosi_pb2.GetResponse(resource=found.message())

    async def list_resources(
        self, call: Call, request: cosi_pb2.ListRequest
    ) -> AsyncGenerator[cosi_pb2.ListResponse, None]:
        _authorize(call, request.type, request.namespace)
        wanted = _Filter(request.namespace, request.type, None, request.options)
        for found in wanted.of(self._current(call.node)).values():
            yield cosi_pb2.ListResponse(resource=found.message())

    async def watch(self, call: Call, request: cosi_pb2.WatchRequest) -> AsyncGenerator[cosi_pb2.WatchResponse, None]:
        _authorize(call, request.type, request.namespace)
        name = request.id if request.HasField("id") else None
        wanted = _Filter(request.namespace, request.type, name, request.options)
        if request.options.start_from_bookmark or request.options.tail_events:
            raise unimplemented("the emulator keeps no history of resources")
        changed = asyncio.Event()
        forget = call.node.observe(changed.set)
        try:
            # Clients take the first, empty message as the sign that the watch is set up.
            yield cosi_pb2.WatchResponse()
            seen = wanted.of(self._current(call.node))
            for response in _pack(_first(request, seen), aggregated=request.options.aggregated):
                yield response
            while True:
                await changed.wait()
                changed.clear()
                current = wanted.of(self._current(call.node))
                for response in _pack(_changes(seen, current), aggregated=request.options.aggregated):
                    yield response
                seen = current
        finally:
            forget()

    def _current(self, node: Node) -> dict[_Key, Versioned]:
        shelf = self._shelves.get(node)
        if shelf is None or shelf.boot_id != node.boot_id:
            shelf = self._shelves[node] = Shelf(node.boot_id)
        cluster = self._clusters.of(node) if node.config else None
        return shelf.update(
            snapshot(
                node, cluster=cluster, schematics=self._context.schematics, fetch_manifest=self._context.fetch_manifest
            )
        )


class _Filter:
    """What a List or Watch asks for."""

    def __init__(
        self, namespace: str, kind: str, name: str | None, options: cosi_pb2.ListOptions | cosi_pb2.WatchOptions
    ) -> None:
        if any(query.terms for query in options.label_query):
            raise unimplemented("no resource of the emulator has labels to select by")
        self._kind = (namespace, kind)
        self._name = name
        try:
            self._pattern = re.compile(options.id_query.regexp)
        except re.error:
            raise invalid_argument("invalid regular expression in the id query") from None

    def of(self, items: dict[_Key, Versioned]) -> dict[_Key, Versioned]:
        return {
            key: item
            for key, item in items.items()
            if key[:2] == self._kind and self._name in (None, key[2]) and self._pattern.search(key[2])
        }


def _denied(message: str) -> TalosError:
    error = not_authorized()
    return TalosError(error.code, message)


def _authorize(call: Call, kind: str, namespace: str) -> None:
    definition = BY_TYPE.get(kind)
    if definition is None:
        raise _denied(f'resource type "{kind}" is not supported')
    if namespace not in NAMESPACES:
        raise _denied(f'namespace "{namespace}" is not supported')
    if definition.sensitive and not call.admin:
        raise not_authorized()


def _first(request: cosi_pb2.WatchRequest, seen: dict[_Key, Versioned]) -> list[cosi_pb2.Event]:
    """What a new watch is told: the one resource it asked for, or the contents if it wants them."""
    created = [cosi_pb2.Event(resource=item.message(), event_type=cosi_pb2.CREATED) for item in seen.values()]
    if request.HasField("id"):
        return created or [_tombstone((request.namespace, request.type, request.id))]
    if request.options.bootstrap_contents:
        return [*created, cosi_pb2.Event(event_type=cosi_pb2.BOOTSTRAPPED)]
    return []


def _tombstone(key: _Key) -> cosi_pb2.Event:
    event = cosi_pb2.Event(event_type=cosi_pb2.DESTROYED)
    metadata = event.resource.metadata
    metadata.namespace, metadata.type, metadata.id = key
    metadata.version, metadata.phase = "1", "tearingDown"
    return event


def _changes(before: dict[_Key, Versioned], after: dict[_Key, Versioned]) -> list[cosi_pb2.Event]:
    events = []
    for key, item in after.items():
        old = before.get(key)
        if old is None:
            events.append(cosi_pb2.Event(resource=item.message(), event_type=cosi_pb2.CREATED))
        elif old.version != item.version:
            events.append(cosi_pb2.Event(resource=item.message(), old=old.message(), event_type=cosi_pb2.UPDATED))
    gone = [item for key, item in before.items() if key not in after]
    return events + [cosi_pb2.Event(resource=item.message(), event_type=cosi_pb2.DESTROYED) for item in gone]


def _pack(events: list[cosi_pb2.Event], *, aggregated: bool) -> list[cosi_pb2.WatchResponse]:
    if aggregated:
        return [cosi_pb2.WatchResponse(event=events)] if events else []
    return [cosi_pb2.WatchResponse(event=[event]) for event in events]
