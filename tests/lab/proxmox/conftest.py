"""A lab of its own for these tests: own directory, own addresses."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from proxmoxer import ProxmoxAPI

from infraflux.adapters.image_factory import register_schematic
from infraflux_lab import control, lifecycle
from infraflux_lab.events import read_events
from infraflux_lab.state import LabPaths, lab_paths

SPEC = Path(__file__).parents[3] / "config" / "lab.yaml"
TOKEN_NAME = "dev"
PLAIN_SCHEMATIC = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba"
"""Talos without any customisation."""


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A running lab."""

    paths: LabPaths
    net: str

    @property
    def endpoint(self) -> str:
        return f"https://{self.net}.1.2:8006"

    @property
    def factory(self) -> str:
        return f"http://{self.net}.0.3:8882"

    def image_url(self) -> str:
        """An image that the factory serves: its schematic is posted first, as the factory wants it."""
        register_schematic(factory_url=self.factory, document="customization: {}\n", expected_id=PLAIN_SCHEMATIC)
        return f"{self.factory}/image/{PLAIN_SCHEMATIC}/v1.13.9/nocloud-amd64.raw"

    @property
    def secret(self) -> str:
        return (self.paths.credentials / "dev.token").read_text().strip()

    def ask(self, op: str, **fields: Any) -> Any:
        return control.call(self.paths.socket, op, **fields)

    def fault(self, kind: str, *, target: str = "*", times: int | None = None, **params: str) -> None:
        self.ask("fault-add", kind=kind, environment="dev", target=target, times=times, params=params)

    def act(self, action: str, **params: str) -> Mapping[str, Any]:
        return self.ask("act", action=action, environment="dev", params=params)

    def writes(self) -> int:
        return sum(row["count"] for row in self.ask("requests") if row["mutating"])

    def events(self, **wanted: Any) -> list[Mapping[str, Any]]:
        return list(read_events(self.paths.events, **wanted))

    def client(self) -> ProxmoxAPI:
        return ProxmoxAPI(
            f"{self.net}.1.2:8006",
            user="infraflux@pve",
            token_name=TOKEN_NAME,
            token_value=self.secret,
            verify_ssl=str(self.paths.ca_certificate),
            timeout=20,
        )


@pytest.fixture(scope="session")
def net() -> str:
    return f"127.{os.environ.get('INFRAFLUX_TEST_OCTET', '78')}"


@pytest.fixture
def lab(tmp_path: Path, net: str) -> Iterator[Lab]:
    state = tmp_path / "lab"
    lifecycle.up(spec_path=SPEC, state_dir=state, net=net)
    try:
        yield Lab(paths=lab_paths(state), net=net)
    finally:
        lifecycle.reset(state)
