"""A small stack without a provider, and a state server that can fail and be locked."""

import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infraflux.adapters.terraform.stack import Stack
from infraflux.adapters.terraform.workspace import Place, Tool
from infraflux.adapters.tools.locate import locate
from infraflux.core.errors import Permanent

MAIN = """
terraform {
  required_version = ">= 1.9"
}

variable "nodes" {
  type = map(string)
}

variable "wait_s" {
  type    = number
  default = 0
}

resource "terraform_data" "node" {
  for_each = var.nodes
  input    = each.value

  provisioner "local-exec" {
    command = "touch ${path.root}/started; sleep ${var.wait_s}"
  }
}

output "nodes" {
  value = { for name, node in terraform_data.node : name => node.output }
}
"""

StackWith = Callable[..., Stack]


@pytest.fixture(params=["terraform-cli", "tofu"])
def binary(request: pytest.FixtureRequest) -> Path:
    try:
        return locate(request.param)
    except Permanent as error:
        pytest.skip(error.message)


@pytest.fixture
def stack_with(tmp_path: Path, binary: Path) -> StackWith:
    """`stack_with(env={...})`: a stack below tmp_path; several of them share one state."""
    source = tmp_path / "terraform"
    (source / "cluster").mkdir(parents=True)
    (source / "modules").mkdir()
    (source / "cluster" / "main.tf").write_text(MAIN)
    place = Place(source=source, state=tmp_path / "state" / "dev-1", environment="dev", name="dev-1")

    def build(**changes: object) -> Stack:
        options: dict[str, object] = {"place": place, "tool": Tool(binary=binary), "label": "dev/dev-1"}
        return Stack(**{**options, "lock_wait_s": 0, **changes})  # type: ignore[arg-type]

    return build


class StateServer:
    """Terraform's `http` backend: one state and its lock."""

    def __init__(self) -> None:
        self.state: bytes | None = None
        self.lock: bytes | None = None
        self.refuse_writes = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

            def _answer(self, code: int, body: bytes = b"") -> None:
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _body(self) -> bytes:
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))

            def do_GET(self) -> None:
                self._answer(200, outer.state) if outer.state else self._answer(404)

            def do_POST(self) -> None:
                body = self._body()
                if outer.refuse_writes:
                    self._answer(507)
                    return
                outer.state = body
                self._answer(200)

            def do_LOCK(self) -> None:
                body = self._body()
                if outer.lock:
                    self._answer(423, outer.lock)
                    return
                outer.lock = body
                self._answer(200)

            def do_UNLOCK(self) -> None:
                self._body()
                outer.lock = None
                self._answer(200)

        octet = os.environ.get("INFRAFLUX_TEST_OCTET", "78")
        self.server = ThreadingHTTPServer((f"127.{octet}.90.1", 0), Handler)
        host, port = self.server.server_address[:2]
        self.url = f"http://{host!s}:{port}/state"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def env(self) -> dict[str, str]:
        return {
            "TF_HTTP_ADDRESS": self.url,
            "TF_HTTP_LOCK_ADDRESS": self.url,
            "TF_HTTP_UNLOCK_ADDRESS": self.url,
            "TF_HTTP_RETRY_MAX": "0",
        }

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def state_server(tmp_path: Path) -> Iterator[StateServer]:
    backend = tmp_path / "terraform" / "environments" / "dev" / "backend.hcl"
    backend.parent.mkdir(parents=True)
    backend.write_text('backend "http" {}\n')
    server = StateServer()
    yield server
    server.close()
