"""Requests in, Proxmox's kind of answers out; transport faults strike here."""

import asyncio
import re
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import web

from infraflux_lab.events import Endpoint, EventLog
from infraflux_lab.proxmox.access import Caller
from infraflux_lab.proxmox.config import check_unlocked
from infraflux_lab.proxmox.engine import Engine
from infraflux_lab.proxmox.errors import PveError, TaskFailed, bad_parameter
from infraflux_lab.proxmox.facts.calls import CallFacts
from infraflux_lab.proxmox.facts.replay import loggable
from infraflux_lab.proxmox.intake import ITEM, checked, facts_of, read
from infraflux_lab.proxmox.model import Guest
from infraflux_lab.proxmox.views import lock_of

PREFIX = "/api2/json"
WRITES = frozenset({"POST", "PUT", "DELETE"})
LOGIN = "/access/ticket"
FORM_LIMIT_BYTES = 4 * 1024**2
# Connect failure of pveproxy to another host of the cluster.
NO_ROUTE_TO_HOST = 595
HTTP_FAULTS: Mapping[str, tuple[int, str]] = {
    "http-500": (500, "got timeout"),
    "http-502": (502, "Bad Gateway"),
    "http-596": (596, "Connection timed out"),
    "http-401": (401, "invalid token value!"),
    "http-403": (403, "Permission check failed"),
}
SLOW_S = 30.0
_SEPARATORS = re.compile(r"[,;\0\s]+")

Handler = Callable[["Call"], Awaitable[Any]]


@dataclass(kw_only=True)
class Call:
    """One request of somebody who is known."""

    sim: Engine
    method: str
    path: str
    params: Mapping[str, str]
    form: dict[str, str]
    caller: Caller
    file: bytes | None = None
    """What was uploaded."""

    @property
    def node(self) -> str:
        """Host in the path, which must exist and answer."""
        node = self.params["node"]
        if node not in self.sim.cluster.spec.hosts:
            raise PveError(
                f"hostname lookup '{node}' failed - failed to get address info for: {node}: Name or service not known"
            )
        if self.sim.cluster.offline(node):
            raise PveError("No route to host", status=NO_ROUTE_TO_HOST)
        return node

    @property
    def vm_id(self) -> int:
        """Guest id in the path."""
        return int(self.params["vmid"])

    def guest(self, *privileges: str) -> Guest:
        """Guest in the path, on the host in the path, if the caller has any of the privileges on it."""
        node = self.node
        self.require(f"/vms/{self.vm_id}", *privileges)
        return self.sim.cluster.guest(self.vm_id, node=node)

    def unlocked_guest(self, *privileges: str) -> Guest:
        """The guest of the call, if nothing locks it; options of root alone are for root alone."""
        guest = self.guest(*privileges)
        for name in ("skiplock", "keepActive", "nocheck"):
            if self.flag(name) and not self.caller.is_root:
                raise bad_parameter(name, "Only root may use this option.")
        lock = lock_of(self.sim, guest)
        if lock and not self.flag("skiplock"):
            self.sim.cluster.faults.take("vm-lock", f"{self.sim.cluster.name}/{guest.vm_id}")
            check_unlocked(guest, lock)
        return guest

    def require(self, path: str, *privileges: str) -> None:
        """403 unless the caller has any of the privileges."""
        self.sim.access.require(self.caller, path, *privileges)

    def allowed(self, path: str, *privileges: str) -> bool:
        """Whether the caller has any of the privileges."""
        return self.sim.access.allowed(self.caller, path, *privileges)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A boolean parameter."""
        return self.form[name] == "1" if name in self.form else default

    def number(self, name: str, default: int) -> int:
        """A number."""
        return int(self.form.get(name, default))

    def names(self, name: str) -> list[str]:
        """A list, whatever separates it."""
        return [part for part in _SEPARATORS.split(self.form.get(name, "")) if part]

    def items(self, name: str) -> list[str]:
        """The items of an array."""
        return [item for item in self.form.get(name, "").split(ITEM) if item]

    def need(self, name: str) -> str:
        """A parameter that must be there: the checker has seen to it."""
        return self.form[name]


class Routes:
    """Table of calls, filled by decorators in the api modules."""

    def __init__(self) -> None:
        self.table: list[tuple[str, str, Handler]] = []

    def __call__(self, method: str, path: str) -> Callable[[Handler], Handler]:
        """Register a handler for a path below /api2/json."""

        def register(handler: Handler) -> Handler:
            self.table.append((method, path, handler))
            return handler

        return register


class ConnectionReset(Exception):
    """A fault wants the connection gone."""


class ApiServer:
    """The HTTP face of one engine."""

    def __init__(self, sim: Engine, routes: Routes, events: EventLog) -> None:
        self._sim, self._events = sim, events
        self.app = web.Application(client_max_size=FORM_LIMIT_BYTES)
        for method, path, handler in routes.table:
            for form in (path, f"{path}/"):
                endpoint = self._endpoint(path, handler, facts_of(method, path))
                self.app.router.add_route(method, PREFIX + form, endpoint)
        self.app.router.add_route("*", "/{tail:.*}", self._endpoint("(unknown)", _unknown, None))

    def _endpoint(
        self, route: str, handler: Handler, facts: CallFacts | None
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            started = time.monotonic()
            response: web.StreamResponse | None = None
            said: dict[str, Any] = {}
            try:
                response = await self._answer(request, handler, facts, said)
            except ConnectionReset:
                reset_connection(request)
                response = web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)
                return response
            finally:
                self._count(request, route, response, form=said, seconds=time.monotonic() - started)
            return response

        return serve

    async def _answer(
        self, request: web.Request, handler: Handler, facts: CallFacts | None, said: dict[str, Any]
    ) -> web.Response:
        path = request.path.removeprefix(PREFIX).rstrip("/")
        names = self._fault_targets(request, path)
        faults = self._sim.cluster.faults
        if faults.take_any("tls-reset", *names) is not None:
            raise ConnectionReset
        slow = faults.take_any("http-slow", *names)
        if slow is not None:
            await asyncio.sleep(float(slow.get("seconds", SLOW_S)))
        try:
            self._strike(names)
            response = web.json_response({"data": await handler(await self._call(request, path, facts, said))})
        except PveError as error:
            response = error_response(error)
        except TaskFailed as error:
            response = error_response(PveError(str(error)))
        except Exception as error:  # noqa: BLE001 - a mistake in the simulator must not look like an answer of Proxmox
            self._sim.cluster.events.emit("proxmox", "handler-failed", path=request.path, error=repr(error))
            response = error_response(PveError(f"simulator error: {error!r}"))
        if self._reply_is_lost(request, names):
            raise ConnectionReset
        return response

    def _reply_is_lost(self, request: web.Request, names: list[str]) -> bool:
        faults = self._sim.cluster.faults
        armed = next((found for name in names if (found := faults.active("reply-lost", name)) is not None), None)
        if armed is None or (request.method not in WRITES and not armed.get("any")):
            return False
        return faults.take_any("reply-lost", *names) is not None

    def _strike(self, names: list[str]) -> None:
        for kind, (status, text) in HTTP_FAULTS.items():
            fault = self._sim.cluster.faults.take_any(kind, *names)
            if fault is not None:
                raise PveError(fault.get("message", text), status=status)

    def _fault_targets(self, request: web.Request, path: str) -> list[str]:
        name = self._sim.cluster.name
        targets = [f"{name}/{request.method} {path}", f"{name}/{path}"]
        vm_id = request.match_info.get("vmid")
        return [*targets, f"{name}/{vm_id}"] if vm_id else targets

    async def _call(self, request: web.Request, path: str, facts: CallFacts | None, said: dict[str, Any]) -> Call:
        if request.method == "POST" and path == LOGIN:
            caller = Caller(id="")
        else:
            cookie = request.cookies.get("PVEAuthCookie")
            caller = self._sim.access.authenticate(request.headers, cookie, write=request.method in WRITES)
        call = Call(
            sim=self._sim, method=request.method, path=path, params=dict(request.match_info), form={}, caller=caller
        )
        if facts is None:
            return call
        values, call.file = await read(request)
        said |= loggable(values)
        # A call for another host is handed on to it before anything is checked.
        if "node" in call.params:
            assert call.node
        call.form = checked(facts, path=call.params, values=values)
        return call

    def _count(
        self,
        request: web.Request,
        route: str,
        response: web.StreamResponse | None,
        *,
        form: Mapping[str, Any],
        seconds: float,
    ) -> None:
        self._events.count_request(
            Endpoint(
                environment=self._sim.cluster.name,
                method=request.method,
                route=route,
                mutating=request.method in WRITES and route != LOGIN,
            ),
            path=request.path.removeprefix(PREFIX),
            form=form,
            status=response.status if response else 0,
            seconds=round(seconds, 4),
        )


async def _unknown(call: Call) -> Any:
    raise PveError(f"Method '{call.method} {call.path}' not implemented", status=HTTPStatus.NOT_IMPLEMENTED)


def error_response(error: PveError) -> web.Response:
    """Text in the reason phrase and in the body."""
    body: dict[str, Any] = {"data": None, "message": f"{error.text}\n"}
    if error.errors:
        body["errors"] = dict(error.errors)
    # A reason phrase is one line of Latin-1 without control characters.
    reason = re.sub(r"[\s\x00-\x1f\x7f]+", " ", error.text).strip().encode("latin-1", "replace").decode("latin-1")
    return web.json_response(body, status=error.status, reason=reason)


def reset_connection(request: web.Request) -> None:
    """Send RST instead of an answer."""
    if request.transport is None:
        return
    raw = request.transport.get_extra_info("socket")
    if raw is not None:
        # Lingering for zero seconds makes the kernel answer with a reset.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()
