"""What the nodes' registries would answer: the images that the lab made, over HTTPS, under the registries' own names.

Read-only part of https://github.com/opencontainers/distribution-spec, version 1.1. No node's configuration has to name
a mirror: the lab's name server leads the registries' names here, and the nodes trust the lab's authority.
"""

import json
import ssl
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from infraflux_lab.contracts import EventSink
from infraflux_lab.pki import Authority, server_context
from infraflux_lab.state import LabPaths
from infraflux_lab.talos_real.images import MANIFEST, ImageStore

PORT = 443
HOSTS = ("registry.k8s.io", "ghcr.io", "gcr.io", "quay.io", "docker.io", "registry-1.docker.io", "factory.talos.dev")
"""Registries that node and workload images are pulled from; what the lab has no image of is answered 404."""


class Registry:
    """One application, served on the gateway address of each node network."""

    def __init__(self, store: ImageStore, events: EventSink) -> None:
        self._store, self._events = store, events
        app = web.Application()
        app.router.add_get("/v2/", self._base)
        app.router.add_get(r"/v2/{name:.+}/manifests/{reference}", self._manifest)
        app.router.add_get(r"/v2/{name:.+}/blobs/{digest}", self._blob)
        self._runner = web.AppRunner(app, access_log=None)

    async def open(self) -> None:
        """Make ready to listen."""
        await self._runner.setup()

    async def listen(self, address: str, *, tls: ssl.SSLContext) -> None:
        """Serve on one more address."""
        await web.TCPSite(self._runner, address, PORT, ssl_context=tls, shutdown_timeout=1).start()

    async def close(self) -> None:
        """Stop listening everywhere."""
        await self._runner.cleanup()

    async def _base(self, _request: web.Request) -> web.Response:
        return web.json_response({})

    async def _manifest(self, request: web.Request) -> web.StreamResponse:
        reference = request.match_info["reference"]
        host = (request.headers.get("Host") or "").partition(":")[0]
        name = f"{host}/{request.match_info['name']}:{reference}"
        digest = reference if reference.startswith("sha256:") else self._store.manifest(name)
        blob = self._store.blob(digest) if digest else None
        self._events.emit("registry", "pull", image=name, found=blob is not None)
        if blob is None:
            return _unknown("MANIFEST_UNKNOWN", f"manifest unknown: the lab made no image {name}")
        headers = {"Docker-Content-Digest": str(digest)}
        return web.Response(body=blob.read_bytes(), content_type=MANIFEST, headers=headers)

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        blob = self._store.blob(request.match_info["digest"])
        if blob is None:
            return _unknown("BLOB_UNKNOWN", "blob unknown")
        headers = {"Docker-Content-Digest": request.match_info["digest"], "Content-Type": "application/octet-stream"}
        return web.FileResponse(blob, headers=headers)


def _unknown(code: str, message: str) -> web.Response:
    body = json.dumps({"errors": [{"code": code, "message": message}]})
    return web.Response(status=404, text=body, content_type="application/json")


def server_contexts(authority: Authority, paths: LabPaths) -> Mapping[str, ssl.SSLContext]:
    """One certificate per registry name."""
    return {host: server_context(authority, paths, name=host, addresses=[]) for host in HOSTS}


def choose_by_name(contexts: Mapping[str, ssl.SSLContext]) -> ssl.SSLContext:
    """A context that shows each client the certificate of the name it asks for."""
    first = next(iter(contexts.values()))

    def choose(connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = contexts.get(name or "", first)

    first.sni_callback = choose
    return first


def certificate_file(paths: LabPaths) -> Path:
    """What the nodes have to trust."""
    return paths.ca_certificate
