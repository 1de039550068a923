"""The gRPC side of the API: which method, on which node, with which roles.

A client reaches one machine and may name others in the call's metadata: `node` passes the call through unchanged,
`nodes` (several) answers with one message per node. As on real machines only control planes forward, and a worker
answers for itself alone.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from infraflux_lab.talos.errors import TalosError, invalid_argument, not_authorized, unavailable
from infraflux_lab.talos.node import Node
from infraflux_lab.talos.proto import common_pb2

_MANY_PREFIXES = (
    "/machine.MachineService/",
    "/cluster.ClusterService/",
    "/inspect.InspectService/",
    "/storage.StorageService/",
    "/time.TimeService/",
)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call as it reaches a node."""

    node: Node
    roles: frozenset[str]

    @property
    def admin(self) -> bool:
        return "os:admin" in self.roles


Unary = Callable[[Call, Any], Awaitable[Message]]
Streaming = Callable[[Call, Any], AsyncGenerator[Any, None]]
Upload = Callable[[Call, AsyncIterator[Any]], Awaitable[Message]]


@dataclass(frozen=True, kw_only=True)
class Method:
    """How one method is called; exactly one of the three handlers is set."""

    request: type[Message]
    response: type[Message]
    roles: frozenset[str]
    unary: Unary | None = None
    stream: Streaming | None = None
    upload: Upload | None = None


@dataclass(frozen=True, kw_only=True)
class Target:
    """A node the call goes to, by the name the client used; no node means that nobody answers there."""

    name: str
    node: Node | None


@dataclass(frozen=True, kw_only=True)
class Route:
    """Where a call goes; with `many` each answer carries the name of its node."""

    targets: Sequence[Target]
    roles: frozenset[str]
    many: bool


class Router(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Finds the method and the nodes of every call."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        *,
        origin: Callable[[str], tuple[Node, frozenset[str]] | None],
        find: Callable[[str, Node], Node | None],
        count: Callable[[str, str], None] = lambda _environment, _path: None,
    ) -> None:
        """`count` is told the environment and the method of every call that reaches a machine."""
        self._methods = methods
        self._count = count
        self._origin = origin
        self._find = find

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        path = handler_call_details.method
        method = self._methods.get(path)
        if method is None:
            return None
        if method.upload:
            return grpc.stream_unary_rpc_method_handler(self._upload(path, method))
        if method.stream:
            return grpc.unary_stream_rpc_method_handler(self._stream(path, method))
        return grpc.unary_unary_rpc_method_handler(self._unary(path, method))

    # Handlers; requests and answers travel as bytes, so that a decode error can be answered properly.

    def _unary(self, path: str, method: Method) -> Callable[..., Awaitable[bytes]]:
        async def handle(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            try:
                route = self._route(path, context)
                message = _decode(method, request)
                answer = await _answer_all(method, route, message)
            except TalosError as error:
                await context.abort(error.code, error.message)
            return answer.SerializeToString()

        return handle

    def _stream(self, path: str, method: Method) -> Callable[..., AsyncIterator[bytes]]:
        async def handle(request: bytes, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
            try:
                route = self._route(path, context)
                message = _decode(method, request)
                streams = [_stream_of(method, route, target, message) for target in route.targets]
                async with aclosing(_merge(streams)) as answers:
                    async for answer in answers:
                        yield answer.SerializeToString()
            except TalosError as error:
                await context.abort(error.code, error.message)

        return handle

    def _upload(self, path: str, method: Method) -> Callable[..., Awaitable[bytes]]:
        async def handle(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> bytes:
            try:
                route = self._route(path, context)
                if len(route.targets) != 1:
                    raise invalid_argument(f"one-2-many proxying is not supported for method {path}")
                target = route.targets[0]
                assert method.upload is not None
                call = _admit(method, route, target)
                answer = await method.upload(call, (_decode(method, request) async for request in requests))
                if route.many:
                    _name(answer, target.name)
            except TalosError as error:
                await context.abort(error.code, error.message)
            return answer.SerializeToString()

        return handle

    def _route(self, path: str, context: grpc.aio.ServicerContext) -> Route:
        origin = self._origin(context.peer())
        if origin is None:
            raise unavailable("the connection belongs to no running machine")
        node, roles = origin
        self._count(node.machine.environment, path)
        metadata = context.invocation_metadata() or ()
        nodes = [str(value) for key, value in metadata if key == "nodes"]
        single = [str(value) for key, value in metadata if key == "node"]
        if len(single) > 1:
            raise invalid_argument("node metadata must be single-valued")
        if node.config is None or not (nodes or single):
            return Route(targets=[Target(name=node.address, node=node)], roles=roles, many=False)
        if nodes and not path.startswith(_MANY_PREFIXES):
            raise invalid_argument(f"one-2-many proxying is not supported for method {path}")
        names = nodes or single
        if not node.control_plane and any(self._find(name, node) is not node for name in names):
            raise TalosError(grpc.StatusCode.PERMISSION_DENIED, "no request forwarding")
        targets = [Target(name=name, node=self._find(name, node)) for name in names]
        return Route(targets=targets, roles=roles, many=bool(nodes))


def _decode(method: Method, request: bytes) -> Message:
    try:
        return method.request.FromString(request)
    except DecodeError:
        raise invalid_argument("the request is not a valid message") from None


def _admit(method: Method, route: Route, target: Target) -> Call:
    """The call on its node, if the node answers and the roles allow it."""
    node = target.node
    if node is None or not node.answering or (route.many and node.config is None):
        reason = f'connection error: desc = "transport: Error while dialing: dial tcp {target.name}:50000'
        raise unavailable(f'{reason}: connect: connection refused"')
    if not route.roles & method.roles:
        raise not_authorized()
    return Call(node=node, roles=route.roles)


async def _answer_all(method: Method, route: Route, request: Message) -> Message:
    """Answer of the one node, or the answers of all in one message with each error in its place."""
    if not route.many:
        return await _answer(method, route, route.targets[0], request)
    merged = method.response()
    for answer in await asyncio.gather(*(_answer_named(method, route, target, request) for target in route.targets)):
        merged.MergeFrom(answer)
    return merged


async def _answer(method: Method, route: Route, target: Target, request: Message) -> Message:
    assert method.unary is not None
    return await method.unary(_admit(method, route, target), request)


async def _answer_named(method: Method, route: Route, target: Target, request: Message) -> Message:
    try:
        answer = await _answer(method, route, target, request)
    except TalosError as error:
        answer = method.response()
        _describe(answer.messages.add().metadata, target.name, error)  # type: ignore[attr-defined]
        return answer
    _name(answer, target.name)
    return answer


def _name(answer: Any, name: str) -> None:
    for message in answer.messages:
        message.metadata.hostname = name


def _describe(metadata: common_pb2.Metadata, name: str, error: TalosError) -> None:
    metadata.hostname = name
    metadata.error = f"rpc error: code = {_go_name(error.code)} desc = {error.message}"
    metadata.status.code = error.number
    metadata.status.message = error.message


def _go_name(code: grpc.StatusCode) -> str:
    """`FailedPrecondition`, as Go prints it."""
    return "".join(word.capitalize() for word in code.name.split("_"))


async def _stream_of(method: Method, route: Route, target: Target, request: Message) -> AsyncGenerator[Message, None]:
    """One node's stream; when the node goes down it breaks off as a lost connection does."""
    try:
        call = _admit(method, route, target)
        assert method.stream is not None
        async with aclosing(_until(method.stream(call, request), call.node.gone)) as answers:
            async for answer in answers:
                if route.many and hasattr(answer, "metadata"):
                    answer.metadata.hostname = target.name
                yield answer
    except TalosError as error:
        if not route.many:
            raise
        failed: Any = method.response()
        _describe(failed.metadata, target.name, error)
        yield failed


async def _until(stream: AsyncGenerator[Message, None], gone: asyncio.Event) -> AsyncGenerator[Message, None]:
    """The stream's messages, broken off when the event is set. Whoever leaves early leaves nothing running."""
    lost = asyncio.create_task(gone.wait())
    following: asyncio.Task[Message] | None = None
    try:
        while True:
            following = asyncio.create_task(_next(stream))
            await asyncio.wait({following, lost}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                raise unavailable("error reading from server: EOF")
            try:
                yield following.result()
            except _Ended:
                return
    finally:
        lost.cancel()
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        await stream.aclose()


class _Ended(Exception):
    """A stream is at its end (a task cannot end with StopAsyncIteration)."""


async def _next(stream: AsyncGenerator[Message, None]) -> Message:
    try:
        return await anext(stream)
    except StopAsyncIteration:
        raise _Ended from None


async def _merge(streams: Sequence[AsyncGenerator[Message, None]]) -> AsyncGenerator[Message, None]:
    """Messages of several streams as they come."""
    if len(streams) == 1:
        async with aclosing(streams[0]) as answers:
            async for answer in answers:
                yield answer
        return
    queue: asyncio.Queue[Message | None] = asyncio.Queue()
    drains = [asyncio.create_task(_drain(stream, queue)) for stream in streams]
    try:
        running = len(drains)
        while running:
            message = await queue.get()
            if message is None:
                running -= 1
            else:
                yield message
    finally:
        for task in drains:
            task.cancel()
        await asyncio.gather(*drains, return_exceptions=True)


async def _drain(stream: AsyncGenerator[Message, None], queue: "asyncio.Queue[Message | None]") -> None:
    try:
        async with aclosing(stream) as answers:
            async for answer in answers:
                queue.put_nowait(answer)
    finally:
        queue.put_nowait(None)
