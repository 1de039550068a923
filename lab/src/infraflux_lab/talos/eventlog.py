"""Events of one boot of one machine, as `talosctl events` and the progress trackers read them."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message

from infraflux_lab.talos.proto import machine_pb2

# A real machine keeps a ring as well; a boot makes a few dozen events.
_KEPT = 1000


@dataclass(frozen=True, kw_only=True)
class Happening:
    """One event with the moment it happened."""

    id: str
    time_s: float
    actor_id: str
    payload: Message | None

    def message(self) -> machine_pb2.Event:
        event = machine_pb2.Event(id=self.id, actor_id=self.actor_id)
        if self.payload is not None:
            name = self.payload.DESCRIPTOR.full_name
            event.data.CopyFrom(AnyMessage(type_url=f"talos/runtime/{name}", value=self.payload.SerializeToString()))
        else:
            event.data.CopyFrom(AnyMessage(type_url="talos/runtime/"))
        return event


def hello(actor_id: str) -> machine_pb2.Event:
    """The empty event that tells a client its stream has begun."""
    return Happening(id="", time_s=0, actor_id=actor_id, payload=None).message()


def new_actor() -> str:
    """Identifier that ties the events of an action to the call that began it."""
    return str(uuid.uuid4())


@dataclass
class EventLog:
    """History since boot, and the queues of those who follow it."""

    _history: list[Happening] = field(default_factory=list)
    _followers: set[asyncio.Queue[Happening]] = field(default_factory=set)
    _count: int = 0

    def emit(self, payload: Message, *, actor_id: str = "") -> None:
        self._count += 1
        happening = Happening(id=f"{self._count:020x}", time_s=time.time(), actor_id=actor_id, payload=payload)
        self._history = [*self._history[-_KEPT:], happening]
        for queue in self._followers:
            queue.put_nowait(happening)

    async def follow(self, request: machine_pb2.EventsRequest) -> AsyncGenerator[machine_pb2.Event, None]:
        """Events asked for from the past, then those to come, without end."""
        queue: asyncio.Queue[Happening] = asyncio.Queue()
        self._followers.add(queue)
        try:
            for happening in self._tail(request):
                yield happening.message()
            while True:
                happening = await queue.get()
                if request.with_actor_id in ("", happening.actor_id):
                    yield happening.message()
        finally:
            self._followers.discard(queue)

    def _tail(self, request: machine_pb2.EventsRequest) -> list[Happening]:
        past = self._history
        if request.tail_id:
            past = [happening for happening in past if happening.id > request.tail_id]
        elif request.tail_seconds:
            past = [happening for happening in past if happening.time_s >= time.time() - request.tail_seconds]
        elif request.tail_events >= 0:
            past = past[-request.tail_events :] if request.tail_events else []
        return [happening for happening in past if request.with_actor_id in ("", happening.actor_id)]
