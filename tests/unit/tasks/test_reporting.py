"""A report says of itself what in it is simulated, whatever kind it is."""

from ipaddress import IPv4Network

import pytest
from fakes.specs import make_spec

from infraflux.config.models.proxmox import SIMULATED, SIMULATED_AROUND_NODES
from tasks.engine.artifacts import Report, with_notice
from tasks.engine.timeline import Stage


@pytest.mark.parametrize(
    ("endpoint", "nodes", "simulated"),
    [
        ("https://127.77.1.2:8006", "127.77.1.0/24", SIMULATED),
        ("https://localhost:8006", "127.77.1.0/24", SIMULATED),
        ("https://127.77.1.2:8006", "10.77.1.0/24", SIMULATED_AROUND_NODES),
        ("https://10.0.0.2:8006", "10.77.1.0/24", ""),
        ("https://pve.example.org:8006", "10.77.1.0/24", ""),
    ],
)
def test_what_is_on_loopback_is_simulated(endpoint: str, nodes: str, simulated: str):
    spec = make_spec()
    parts = {
        "proxmox": spec.proxmox.model_copy(update={"endpoint": endpoint}),
        "network": spec.network.model_copy(update={"node_cidr": IPv4Network(nodes)}),
    }
    assert spec.model_copy(update=parts).simulation_notice == simulated


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("# dev/dev-1: done\n\n| a |", "# dev/dev-1: done\n\n> **notice**\n\n| a |"),
        ("# only a heading", "# only a heading\n\n> **notice**"),
        ("No changes.\n", "> **notice**\n\nNo changes.\n"),
    ],
)
def test_the_notice_stands_below_the_heading(markdown: str, text: str):
    assert with_notice(markdown, "notice") == text
    assert with_notice(markdown, "") == markdown


def test_a_stage_takes_the_spans_of_its_own_time(monkeypatch: pytest.MonkeyPatch):
    from infraflux.core.spans import Kind, Span  # noqa: PLC0415

    now = iter([100.0, 101.0, 105.0])
    report = Report("dev/dev-1", (), clock=lambda: next(now), spans=[Span(Kind.PROGRAM, "x", 99.0, 103.0)])
    monkeypatch.setattr("tasks.engine.artifacts.log_line", lambda _line: None)
    with report.stage("plan") as said:
        said.append("ok")
    assert report.stages == [Stage("plan", 1.0, 4.0, "ok", (Span(Kind.PROGRAM, "x", 1.0, 3.0),))]
