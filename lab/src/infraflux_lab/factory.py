"""Stand-in for the Talos image factory: same paths, small files, the same schematic ids.

Like the real one it serves only schematics that somebody posted before, and forgets none of them.
What a file holds: a line that says what it stands for, then filler made from that line, so that its checksum is known
beforehand. The header `X-Lab-Virtual-Size` gives the size of the disk a real image would make.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from aiohttp import web
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from infraflux.core.files import write_whole
from infraflux_lab.contracts import EventSink
from infraflux_lab.parts import PartFacts
from infraflux_lab.proxmox.images import qcow2_header
from infraflux_lab.proxmox.storage import VIRTUAL_SIZE_HEADER
from infraflux_lab.spec import FactorySpec
from infraflux_lab.state import LabError, read_json

VERSION = "1"
IMAGE_BYTES = 64 * 1024
# Disk size of Talos 1.13's nocloud image.
VIRTUAL_BYTES = 1_306_525_696
# Order in which the factory writes the keys of a schematic before it hashes it.
_KEY_ORDER = ("overlay", "customization", "extraKernelArgs", "meta", "systemExtensions", "secureboot")
_VERSION = re.compile(r"^v\d+\.\d+\.\d+(-[a-z]+\.\d+)?$")
_SCHEMATIC = re.compile(r"^[0-9a-f]{64}$")
_FILE = re.compile(r"^(nocloud|metal)-(amd64|arm64)\.(raw|qcow2|iso)$")


def image_bytes(*, schematic: str, version: str, file: str) -> bytes:
    """Content of a stand-in image; the same for the same arguments, different for others."""
    head = f"InfraFlux lab stand-in for Talos image\nschematic={schematic}\nversion={version}\nfile={file}\n".encode()
    if file.endswith(".qcow2"):
        # Proxmox looks whether it is one before it keeps it.
        head = qcow2_header(VIRTUAL_BYTES) + head
    filler = hashlib.shake_256(head).digest(IMAGE_BYTES - len(head))
    return head + filler


def schematic_id(document: bytes) -> str:
    """Id of a customisation, the one the real factory gives: SHA-256 of the document in canonical form."""
    try:
        parsed = YAML(typ="safe", pure=True).load(document) or {}
    except YAMLError as error:
        raise ValueError(f"not valid YAML: {error}") from None
    if not isinstance(parsed, dict) or set(parsed) - set(_KEY_ORDER[:2]):
        raise ValueError("a schematic has the keys overlay and customization")
    text = StringIO()
    writer = YAML(typ="rt", pure=True)
    writer.indent(mapping=4, sequence=6, offset=4)
    writer.dump(_ordered({"customization": {}, **parsed}), text)
    return hashlib.sha256(text.getvalue().encode()).hexdigest()


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        known = [key for key in _KEY_ORDER if key in value]
        rest = sorted(key for key in value if key not in _KEY_ORDER)
        return {key: _ordered(value[key]) for key in [*known, *rest]}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def extensions_of(document: bytes) -> list[str]:
    """Official system extensions that a schematic asks for; ValueError where that part has another form."""
    parsed = YAML(typ="safe", pure=True).load(document) or {}
    try:
        found = ((parsed.get("customization") or {}).get("systemExtensions") or {}).get("officialExtensions") or []
    except AttributeError:
        raise ValueError("customization.systemExtensions must be a mapping") from None
    if not isinstance(found, list):
        raise ValueError("customization.systemExtensions.officialExtensions must be a list")
    return [str(name) for name in found]


class ImageFactory:
    """The HTTP server; a part of the lab."""

    def __init__(self, spec: FactorySpec, events: EventSink, *, store: Path) -> None:
        self._spec, self._events, self._store = spec, events, store
        self._extensions: dict[str, list[str]] = read_json(store, {})
        self.app = web.Application()
        self.app.router.add_post("/schematics", self._schematics)
        self.app.router.add_get("/image/{schematic}/{version}/{file}", self._image)
        self._runner = web.AppRunner(self.app, access_log=None)

    async def start(self) -> None:
        """Listen."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, str(self._spec.address), self._spec.port, shutdown_timeout=1).start()
        except OSError as error:
            raise LabError(f"image factory {self.url}: {error.strerror or error}") from None

    async def stop(self) -> None:
        """Close."""
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://{self._spec.address}:{self._spec.port}"

    def extensions(self, schematic: str) -> Sequence[str]:
        """System extensions of a schematic that was uploaded here; none for others."""
        return self._extensions.get(schematic, [])

    def describe(self) -> Sequence[PartFacts]:
        """One line of `lab status`."""
        return [PartFacts(name="image factory", version=VERSION, kind="simulated", endpoint=self.url)]

    async def _schematics(self, request: web.Request) -> web.Response:
        try:
            document = await request.read()
            found = schematic_id(document)
            self._remember(found, document)
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        self._events.emit("factory", "schematic", id=found)
        return web.json_response({"id": found}, status=201)

    def _remember(self, schematic: str, document: bytes) -> None:
        extensions = extensions_of(document)
        if self._extensions.get(schematic) != extensions:
            self._extensions[schematic] = extensions
            write_whole(self._store, json.dumps(self._extensions).encode())

    async def _image(self, request: web.Request) -> web.Response:
        schematic, version, file = (request.match_info[name] for name in ("schematic", "version", "file"))
        if not (_SCHEMATIC.match(schematic) and _VERSION.match(version) and _FILE.match(file)):
            return web.Response(status=404, text="no such image\n")
        if schematic not in self._extensions:
            self._events.emit("factory", "unknown-schematic", id=schematic)
            return web.Response(status=404, text=f"schematic {schematic} not found: POST it to /schematics first\n")
        if request.method == "GET":
            self._events.emit("factory", "image", schematic=schematic, version=version, file=file)
        return web.Response(
            body=image_bytes(schematic=schematic, version=version, file=file),
            content_type="application/octet-stream",
            headers={VIRTUAL_SIZE_HEADER: str(VIRTUAL_BYTES)},
        )
