"""PATH, then the cache, then a clear next step."""

from __future__ import annotations

import os

import pytest

from infraflux.adapters.tools.locate import Source
from infraflux.core.errors import Permanent

from .conftest import Machine, script


def in_cache(machine: Machine, name: str, version: str) -> None:
    machine.put(name, script(f"{name} v{version}"), at=machine.places.tools / "programs" / name / version)


@pytest.mark.parametrize(
    ("on_path", "cached", "source", "version"),
    [
        pytest.param("4.5.6", "4.5.6", Source.PATH, "4.5.6", id="PATH before cache"),
        pytest.param("4.4.0", None, Source.PATH, "4.4.0", id="accepted other version"),
        pytest.param("4.3.9", "4.5.6", Source.CACHE, "4.5.6", id="PATH too old"),
        pytest.param(None, "4.5.6", Source.CACHE, "4.5.6", id="cache"),
        pytest.param(None, "4.5.5", Source.MISSING, "4.5.6", id="cache has another version"),
        pytest.param("garbled", None, Source.MISSING, "4.5.6", id="PATH answers nonsense"),
        pytest.param(None, None, Source.MISSING, "4.5.6", id="nowhere"),
    ],
)
def test_order(machine: Machine, on_path: str | None, cached: str | None, source: Source, version: str) -> None:
    if on_path:
        machine.put("gamma", script(f"gamma v{on_path}"))
    if cached:
        in_cache(machine, "gamma", cached)
    found = machine.installed.find("gamma")
    assert (found.source, found.version) == (source, version)


@pytest.mark.parametrize(
    ("given", "gamma", "expected"),
    [
        pytest.param("1.9.0", None, ("given", Source.PATH), id="first alternative"),
        pytest.param("1.8.5", "4.5.6", ("gamma", Source.PATH), id="first is too old"),
        pytest.param("1.8.5", None, ("gamma", Source.MISSING), id="too old and no other: build"),
        pytest.param(None, None, ("gamma", Source.MISSING), id="nothing: build the one that can be built"),
    ],
)
def test_alternatives(machine: Machine, given: str | None, gamma: str | None, expected: tuple[str, Source]) -> None:
    if given:
        machine.put("given-cli", script(f"Given v{given}"))
    if gamma:
        machine.put("gamma", script(f"gamma v{gamma}"))
    found = machine.installed.find("either")
    assert (found.program.name, found.source) == expected


def test_missing_program_says_why_and_what_to_do(machine: Machine) -> None:
    where = machine.put("given-cli", script("Given v1.8.5"))
    with pytest.raises(Permanent) as caught:
        machine.installed.locate("either")
    assert f"either 4.5.6 is not installed ({where} is 1.8.5, wanted >=1.9,<2)" in caught.value.message
    assert caught.value.next_step == "infraflux tools install either"


def test_program_that_is_never_built(machine: Machine) -> None:
    with pytest.raises(Permanent) as caught:
        machine.installed.locate("given")
    assert caught.value.next_step == "put given on PATH"


def test_program_on_path_is_asked_once_until_it_changes(machine: Machine) -> None:
    log = machine.root / "asked"
    counting = f"#!/bin/sh\necho x >> {log}\necho gamma v4.5.6\n"
    path = machine.put("gamma", counting)
    assert [machine.installed.find("gamma").version for _ in range(3)] == ["4.5.6"] * 3
    assert log.read_text() == "x\n"
    path.write_text(counting.replace("4.5.6", "4.4.1"))
    os.utime(path, ns=(1, 1))
    assert machine.installed.find("gamma").version == "4.4.1"


def test_program_that_did_not_answer_is_asked_again(machine: Machine) -> None:
    path = machine.put("gamma", "#!/bin/sh\nexit 1\n")
    assert machine.installed.find("gamma").source is Source.MISSING
    path.write_text(script("gamma v4.5.6"))
    assert machine.installed.find("gamma").source is Source.PATH


def test_provider_on_path_is_of_no_use(machine: Machine) -> None:
    machine.put("plug", script("plug"))
    with pytest.raises(Permanent, match=r"plug 0\.9\.0 is not installed"):
        machine.installed.provider_mirror()


def test_mirror_serves_both_registries(machine: Machine) -> None:
    machine.install("plug")
    mirror = machine.installed.provider_mirror()
    found = sorted(path.relative_to(mirror).parts for path in mirror.rglob("terraform-provider-*"))
    assert [parts[0] for parts in found] == ["registry.opentofu.org", "registry.terraform.io"]
    assert {parts[1:4] for parts in found} == {("acme", "plug", "0.9.0")}
    assert {parts[-1] for parts in found} == {"terraform-provider-plug_v0.9.0"}


def test_mirror_that_was_removed_comes_back(machine: Machine) -> None:
    machine.install("plug")
    for path in machine.installed.places.mirror.rglob("terraform-provider-*"):
        path.unlink()
    assert len(list(machine.installed.provider_mirror().rglob("terraform-provider-*"))) == 2
