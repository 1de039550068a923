"""The chart repository over plain HTTP, `http://<address>:8880/charts`."""

from collections.abc import Mapping, Sequence

from aiohttp import web

from infraflux_lab.contracts import EventSink
from infraflux_lab.gitops.archives import ChartArchive, index

PORT = 8880


class ChartServer:
    """Serves archives from memory: there are about ten, of a few KiB each, or what the user gave."""

    def __init__(self, *, address: str, archives: Sequence[ChartArchive], events: EventSink, port: int = PORT) -> None:
        """Nothing listens yet."""
        self._address, self._port, self._events = address, port, events
        self._files: Mapping[str, bytes] = {
            "index.yaml": index(archives),
            **{archive.file_name: archive.data for archive in archives},
        }
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """What Helm calls the repository."""
        return f"http://{self._address}:{self._port}/charts"

    async def start(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_get("/charts/{name}", self._serve)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._address, self._port).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._files:
            return web.Response(status=404, text=f"no chart file {name}\n")
        self._events.emit("charts", "request", file=name)
        kind = "application/yaml" if name == "index.yaml" else "application/gzip"
        return web.Response(body=self._files[name], content_type=kind)
