"""The programs of this machine, as `infraflux tools install --group test` left them."""

from __future__ import annotations

import os

import pytest

from infraflux.adapters.tools.install import decide, read_receipt
from infraflux.adapters.tools.locate import Source, provider_mirror, this_machine
from infraflux.adapters.tools.probe import ask_version
from infraflux.adapters.tools.providers import REGISTRIES
from infraflux.adapters.tools.toolchain import find_go

pytestmark = pytest.mark.tools

installed = this_machine()
NEEDED = [program.name for program in installed.pins.select(group="test")]


@pytest.mark.parametrize("name", NEEDED)
def test_program_says_it_is_what_was_asked_for(name: str) -> None:
    found = installed.find(name)
    assert found.path is not None
    go = find_go(pins=installed.pins, places=installed.places)
    if found.program.probe.build_info and go is None:
        pytest.skip("a provider's version is read with Go, and there is none any more")
    version = ask_version(found.path, program=found.program, environ=os.environ, go=go.path if go else None)
    assert version == found.version


@pytest.mark.parametrize("name", NEEDED)
def test_nothing_is_left_to_build(name: str) -> None:
    found = installed.find(name)
    recipe = installed.pins.recipe(found.program) if found.source is Source.CACHE else ""
    assert decide(found, recipe=recipe, receipt=read_receipt(installed.built_path(found.program))) is None


def test_mirror_has_an_executable_provider_for_each_registry() -> None:
    mirror = provider_mirror()
    for registry in REGISTRIES:
        (provider,) = mirror.glob(f"{registry}/bpg/proxmox/*/*/terraform-provider-proxmox_v*")
        assert os.access(provider, os.X_OK)
