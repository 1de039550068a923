"""What a request brings: parameters of a query, a form or JSON, checked against the table before a handler runs."""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, web

from infraflux_lab.proxmox.errors import PveError, bad_parameter, bad_parameters
from infraflux_lab.proxmox.facts.calls import CALLS, CallFacts
from infraflux_lab.proxmox.facts.check import Values, check_call, option_rule
from infraflux_lab.proxmox.facts.replay import row_of

WITH_CONTENT = ("POST", "PUT")
ITEM = "\0"
"""Between the items of an array in the text that handlers get."""


def facts_of(method: str, route: str) -> CallFacts:
    """The table's row for a route; a route without one is a mistake in the lab."""
    return CALLS[row_of(method, route)]


async def read(request: web.Request) -> tuple[Values, bytes | None]:
    """Parameters as sent, text or a list where a name comes more than once; and the file of an upload."""
    body: Values = {}
    file = None
    # pveproxy looks at the length before it knows the call (PVE::APIServer::AnyEvent, authenticate_and_handle_request).
    if request.content_length:
        if request.method not in WITH_CONTENT:
            raise PveError(f"Unexpected content for method '{request.method}'", status=501)
        if request.content_type == "multipart/form-data":
            body, file = await _parts(request)
        else:
            body = _body(request.content_type, await request.text())
    # What is in the query wins over the body; `_dc` only keeps browsers from caching.
    values = {name: value for name, value in {**body, **_grouped(request.query.items())}.items() if name != "_dc"}
    return values, file


async def _parts(request: web.Request) -> tuple[Values, bytes | None]:
    """A form whose part `filename` is the file; a file has no limit, as in pveproxy."""
    found: dict[str, str | list[str]] = {}
    file = None
    reader = await request.multipart()
    while (part := await reader.next()) is not None:
        if not isinstance(part, BodyPartReader) or not part.name:
            continue
        if part.filename:
            found[part.name], file = part.filename, await _whole(part)
        else:
            found[part.name] = await part.text()
    return found, file


async def _whole(part: BodyPartReader) -> bytes:
    """Read piece by piece: reading it at once is limited to the size of a form."""
    pieces = []
    while piece := await part.read_chunk():
        pieces.append(piece)
    return b"".join(pieces)


def _body(content_type: str, text: str) -> Values:
    if content_type != "application/json":
        return _grouped(parse_qsl(text, keep_blank_values=True, encoding="utf-8"))
    try:
        document = json.loads(text)
    except ValueError as error:
        raise PveError(f"malformed JSON string: {error}", status=501) from None
    if not isinstance(document, dict):
        raise PveError("Not a HASH reference", status=501)
    return {name: _plain(name, value) for name, value in document.items() if value is not None}


def _plain(name: str, value: Any) -> str | list[str]:
    if isinstance(value, list):
        return [str(_plain(name, item)) for item in value]
    if isinstance(value, dict):
        raise bad_parameter(name, "type check ('string') failed - got HASH")
    return str(int(value)) if isinstance(value, bool) else str(value)


def _grouped(pairs: Iterable[tuple[str, str]]) -> Values:
    found: dict[str, str | list[str]] = {}
    for name, value in pairs:
        old = found.get(name)
        if old is None:
            found[name] = value
        else:
            found[name] = [*old, value] if isinstance(old, list) else [old, value]
    return found


def checked(facts: CallFacts, *, path: Mapping[str, str], values: Values) -> dict[str, str]:
    """Parameters as handlers want them; 400 with everything that is wrong."""
    clash = next((name for name in path if name in values and values[name] != path[name]), None)
    if clash:
        raise bad_parameter(clash, "duplicate parameter (already defined in URI) with conflicting values!")
    problems = check_call(facts, path=path, form=values)
    if problems:
        raise bad_parameters(problems)
    return {name: _joined(facts, name, value) for name, value in values.items()}


def _joined(facts: CallFacts, name: str, value: str | list[str]) -> str:
    if isinstance(value, str):
        return value
    rule = facts.rules.get(name) or option_rule(name)
    return (ITEM if rule and rule.kind.type == "array" else ",").join(value)
