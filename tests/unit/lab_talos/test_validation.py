"""How talosctl's words become Talos' answer, and how often it is asked."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infraflux_lab.talos.config_loading import ConfigError, parse
from infraflux_lab.talos.machine_config import dump
from infraflux_lab.talos.validation import Validator, image_problems, read_verdict

Documents = list[dict[str, Any]]


def test_a_refusal_is_what_comes_after_the_warnings() -> None:
    said = "WARNING: use documents\n1 error occurred:\n\t* static hostname is already set in v1alpha1 config\n\n"
    verdict = read_verdict(said, refused=True)
    assert verdict.warnings == ["use documents"]
    assert verdict.refusal == "1 error occurred:\n\t* static hostname is already set in v1alpha1 config"


def test_warnings_alone_refuse_nothing() -> None:
    verdict = read_verdict("WARNING: use documents\n", refused=False)
    assert (verdict.refusal, verdict.warnings) == ("", ["use documents"])


@pytest.fixture
def counting(tmp_path: Path) -> tuple[Path, Callable[[], int]]:
    """A talosctl that writes a line per call and takes what holds no `bad`."""
    log, program = tmp_path / "calls", tmp_path / "talosctl"
    program.write_text(f'#!/bin/sh\necho called >> {log}\nif grep -q bad; then echo "bad config" >&2; exit 1; fi\n')
    program.chmod(0o755)
    return program, lambda: len(log.read_text().splitlines())


def test_one_content_is_judged_once(control_plane: Documents, counting: tuple[Path, Callable[[], int]]) -> None:
    program, calls = counting
    data = dump(control_plane)

    async def ask() -> None:
        validator = Validator(program)
        await asyncio.gather(*(validator.accept(data, talos_version="v1.13.9") for _ in range(5)))
        await validator.accept(data, talos_version="v1.13.9")

    asyncio.run(ask())
    assert calls() == 1


def test_refused_in_the_programs_words(control_plane: Documents, counting: tuple[Path, Callable[[], int]]) -> None:
    control_plane[0]["machine"]["nodeLabels"] = {"is": "bad"}
    with pytest.raises(ConfigError, match=r"^bad config$"):
        asyncio.run(Validator(counting[0]).accept(dump(control_plane), talos_version="v1.13.9"))


@pytest.mark.parametrize(
    ("image", "talos", "words"),
    [
        ("ghcr.io/siderolabs/kubelet:v1.36.3", "v1.13.9", ""),
        ("ghcr.io/siderolabs/kubelet:v1.36.3", "v1.12.4", "1.36.3 is too new to be used with Talos 1.12.4"),
        ("ghcr.io/siderolabs/kubelet:v1.30.0", "v1.13.9", "1.30.0 is too old to be used with Talos 1.13.9"),
        ("ghcr.io/siderolabs/kubelet:latest", "v1.13.9", "failed to parse Kubernetes version"),
        ("ghcr.io/siderolabs/kubelet:v1.40.0", "v2.0.0", ""),
    ],
)
def test_kubernetes_versions(control_plane: Documents, image: str, talos: str, words: str) -> None:
    control_plane[0]["machine"]["kubelet"]["image"] = image
    found = image_problems(parse(dump(control_plane)), talos)
    assert bool(found) == bool(words)
    assert words in "".join(found)
