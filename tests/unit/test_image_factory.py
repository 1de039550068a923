"""The factory is given the schematic, and its id must be the one the installer image was named by."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from infraflux.adapters.image_factory import register_schematic
from infraflux.core.errors import Permanent, Retryable


@pytest.fixture
def factory() -> Iterator[HTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            status, body = self.server.answer
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.bodies, server.answer = [], (201, '{"id": "abc"}')
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def register(server: HTTPServer) -> None:
    url = f"http://127.0.0.1:{server.server_port}"
    register_schematic(factory_url=url, document="customization: {}\n", expected_id="abc")


def test_the_document_is_given_as_it_is_hashed(factory: HTTPServer):
    register(factory)
    assert factory.bodies == ["customization: {}\n"]


ANSWERS = {
    "another id": (201, '{"id": "def"}', Permanent, "computed as abc"),
    "unknown extension": (400, "no such extension", Permanent, "no such extension"),
    "busy": (503, "", Retryable, "answers 503"),
}


@pytest.mark.parametrize(("status", "body", "kind", "words"), ANSWERS.values(), ids=ANSWERS.keys())
def test_other_answers_are_errors(factory: HTTPServer, status: int, body: str, kind: type, words: str):
    factory.answer = (status, body)
    with pytest.raises(kind, match=words):
        register(factory)


def test_silence_is_retryable():
    with pytest.raises(Retryable, match="does not answer"):
        register_schematic(factory_url="http://127.0.0.1:9", document="", expected_id="abc")
