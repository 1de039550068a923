"""Events, latency, certificates, control socket, image factory."""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from infraflux_lab import control
from infraflux_lab.control import ControlServer, NotRunning
from infraflux_lab.events import Endpoint, EventLog, read_events
from infraflux_lab.factory import ImageFactory, extensions_of, image_bytes, schematic_id
from infraflux_lab.latency import PROFILES, ProfileLatency
from infraflux_lab.pki import ensure_authority, server_context
from infraflux_lab.spec import FactorySpec
from infraflux_lab.state import LabError, lab_paths


def test_events_are_read_back_without_a_torn_line(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "e")
    log.emit("a", "one", number=1)
    log.count_request(Endpoint("dev", "POST", "/x", True), path="/x", status=200, seconds=0.1)
    with (tmp_path / "e").open("a") as file:
        file.write('{"source": "torn')
    assert [event["kind"] for event in read_events(tmp_path / "e")] == ["one", "request"]
    assert [event["number"] for event in read_events(tmp_path / "e", kind="one")] == [1]
    assert log.requests() == [{"environment": "dev", "method": "POST", "route": "/x", "mutating": True, "count": 1}]
    log.reset_requests()
    assert log.requests() == []
    log.close()


@pytest.mark.parametrize(
    ("profile", "scale", "overrides", "seconds"),
    [
        ("zero", 1.0, {}, 0.0),
        ("real", 1.0, {}, PROFILES["real"]["boot"]),
        ("real", 0.05, {}, PROFILES["real"]["boot"] * 0.05),
        ("real", 0.5, {"boot": 3.0}, 1.5),
    ],
)
def test_latency(profile: str, scale: float, overrides: Mapping[str, float], seconds: float) -> None:
    latency = ProfileLatency(profile=profile, scale=scale, overrides=overrides)
    assert latency.seconds("boot") == pytest.approx(seconds)
    assert latency.seconds("no such phase") == 0


def test_simulated_time_is_logged(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "e")
    latency = ProfileLatency(profile="zero", scale=1, overrides={"boot": 0.001}, events=log)
    asyncio.run(latency.sleep("boot"))
    asyncio.run(latency.sleep("reboot"))
    assert [event["phase"] for event in read_events(tmp_path / "e", kind="sleep")] == ["boot"]
    log.close()


def test_certificates_are_kept_and_renewed_for_another_address(tmp_path: Path) -> None:
    paths = lab_paths(tmp_path / "lab").create()
    authority = ensure_authority(paths)
    assert ensure_authority(paths).certificate == authority.certificate
    certificate = paths.certificates / "pve.crt"
    server_context(authority, paths, name="pve", addresses=["127.77.1.2"])
    first = certificate.read_bytes()
    server_context(authority, paths, name="pve", addresses=["127.77.1.2"])
    assert certificate.read_bytes() == first
    context = server_context(authority, paths, name="pve", addresses=["127.82.1.2"])
    assert certificate.read_bytes() != first
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    (paths.root / "ca.key").unlink()
    server_context(ensure_authority(paths), paths, name="pve", addresses=["127.82.1.2"])
    trusting = ssl.create_default_context(cafile=str(paths.ca_certificate))
    assert trusting.cert_store_stats()["x509_ca"] == 1


def test_control_socket(tmp_path: Path) -> None:
    async def echo(request: Mapping[str, Any]) -> Any:
        return request["word"]

    async def refuse(_request: Mapping[str, Any]) -> Any:
        raise LabError("not today")

    async def scenario() -> list[object]:
        server = ControlServer(tmp_path / "c.sock", {"echo": echo, "refuse": refuse})
        (tmp_path / "c.sock").touch()
        await server.start()
        found: list[object] = [await asyncio.to_thread(control.call, tmp_path / "c.sock", "echo", word="hello")]
        for op in ("refuse", "unknown", "echo"):
            with pytest.raises(LabError) as raised:
                await asyncio.to_thread(control.call, tmp_path / "c.sock", op)
            found.append(str(raised.value))
        await server.stop()
        return found

    found = asyncio.run(scenario())
    assert found[:3] == ["hello", "not today", "no operation 'unknown'"]
    assert "KeyError" in str(found[3])
    with pytest.raises(NotRunning, match="infraflux lab up"):
        control.call(tmp_path / "c.sock", "echo")


EXTENSIONS = b"customization:\n  systemExtensions:\n    officialExtensions:\n      - siderolabs/qemu-guest-agent\n"


# Ids that the public factory at factory.talos.dev gives for these documents.
KNOWN_IDS = {
    b"": "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba",
    b"customization: {}": "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba",
    EXTENSIONS: "ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515",
    EXTENSIONS.replace(
        b"\n      -", b"\n        -"
    ): "ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515",
}


@pytest.mark.parametrize(("document", "known"), KNOWN_IDS.items())
def test_schematic_id(document: bytes, known: str) -> None:
    assert schematic_id(document) == known


@pytest.mark.parametrize("document", [b"- a", b"colour: red", b"a: [", b"customization: {systemExtensions: 3}"])
def test_wrong_schematic(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"schematic|YAML|mapping"):
        schematic_id(document) and extensions_of(document)


def test_extensions() -> None:
    assert extensions_of(EXTENSIONS) == ["siderolabs/qemu-guest-agent"]
    assert extensions_of(b"") == []


def make_factory(tmp_path: Path) -> ImageFactory:
    """A factory as a start of the lab makes it: it knows what its file says."""
    spec = FactorySpec.model_validate({"address": "127.0.0.1"})
    return ImageFactory(spec, EventLog(tmp_path / "e"), store=tmp_path / "schematics.json")


def test_factory(tmp_path: Path) -> None:
    async def scenario() -> list[object]:
        found: list[object] = []
        async with TestClient(TestServer(make_factory(tmp_path).app)) as client:
            async with client.post("/schematics", data=EXTENSIONS) as response:
                schematic = (await response.json())["id"]
            where = f"/image/{schematic}/v1.13.9/nocloud-amd64.raw"
            async with client.head(where) as response:
                found.append(response.content_length)
            async with client.get(where) as response:
                found.append(await response.read())
            for wrong in ("/image/x/v1.13.9/nocloud-amd64.raw", where.replace("v1.13.9", "latest"), f"{where}.xz"):
                async with client.get(wrong) as response:
                    found.append(response.status)
        return [schematic, *found]

    schematic, length, content, *statuses = asyncio.run(scenario())
    assert content == image_bytes(schematic=str(schematic), version="v1.13.9", file="nocloud-amd64.raw")
    assert length == len(content)
    assert statuses == [404, 404, 404]
    assert make_factory(tmp_path).extensions(str(schematic)) == ["siderolabs/qemu-guest-agent"]
    assert make_factory(tmp_path).extensions("unknown") == []


@pytest.mark.parametrize("document", [b"", EXTENSIONS], ids=["plain", "with an extension"])
def test_only_schematics_that_were_posted_are_served_and_none_is_forgotten(tmp_path: Path, document: bytes) -> None:
    where = f"/image/{schematic_id(document)}/v1.13.9/nocloud-amd64.raw"

    async def asked(*, post: bool) -> list[int]:
        async with TestClient(TestServer(make_factory(tmp_path).app)) as client:
            if post:
                await client.post("/schematics", data=document)
            return [(await client.head(where)).status, (await client.get(where)).status]

    assert asyncio.run(asked(post=False)) == [404, 404]
    assert asyncio.run(asked(post=True)) == [200, 200]
    # Each is a factory of its own over the same file, as after a restart or a kill -9.
    assert asyncio.run(asked(post=False)) == [200, 200]
