"""The pin list: every mistake is named, and the shipped one is whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infraflux.adapters.tools.pins import Program, load_pins
from infraflux.adapters.tools.places import pins_directory
from infraflux.adapters.tools.toolchain import new_enough, requirements
from infraflux.core.errors import ErrorClass, Permanent

from .conftest import PINS, Machine


def program(**fields: object) -> Program:
    return Program.model_validate(
        {"name": "x", "summary": "", "version": "1.2.3", "probe": {"arguments": [], "pattern": "(.*)"}, **fields}
    )


@pytest.mark.parametrize(
    ("accept", "version", "accepted"),
    [
        pytest.param("", "1.2.3", True, id="pinned"),
        pytest.param("", "1.2.4", False, id="another"),
        pytest.param(">=1.9,<2", "1.8.5", False, id="too old"),
        pytest.param(">=1.9,<2", "1.9.0", True, id="oldest"),
        pytest.param(">=1.9,<2", "1.11.4", True, id="not compared as text"),
        pytest.param(">=1.9,<2", "2.0.0", False, id="next major"),
        pytest.param(">=1.35,<1.38", "1.36.2-gke.100", True, id="vendor suffix"),
        pytest.param(">=1.9,<2", "unknown", False, id="no version"),
        pytest.param(">=1.9,<2", None, False, id="no answer"),
    ],
)
def test_accepts(accept: str, version: str | None, accepted: bool) -> None:
    assert program(accept=accept).accepts(version) is accepted


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param("version: 4.5.6", "verison: 4.5.6", "programs.gamma.verison: Extra inputs", id="typing error"),
        pytest.param("    version: 4.5.6\n", "", "gamma: version is missing", id="no version"),
        pytest.param("    package: example.org/two\n", "", "module and package go together", id="no package"),
        pytest.param("[given, gamma]", "[given, delta]", "any_of names delta", id="unknown alternative"),
        pytest.param("go: {", "go: [", "not valid YAML", id="no YAML"),
        pytest.param("groups: [all]", "groups: [some]", "Input should be 'up', 'real', 'test', 'all' or", id="group"),
    ],
)
def test_mistakes_in_the_list(machine: Machine, old: str, new: str, message: str) -> None:
    assert old in PINS
    (machine.root / "tools" / "pins.yaml").write_text(PINS.replace(old, new))
    with pytest.raises(Permanent, match=re.escape(message)) as caught:
        load_pins(machine.root / "tools")
    assert caught.value.error_class is ErrorClass.CONFIG


def test_no_list(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="does not exist"):
        load_pins(tmp_path)


@pytest.mark.parametrize(
    ("names", "group", "expected"),
    [
        pytest.param((), "up", ["alpha", "plug", "either"], id="group"),
        pytest.param(("gamma",), "up", ["alpha", "gamma", "plug", "either"], id="group and name"),
        pytest.param(("beta", "alpha"), None, ["alpha", "beta"], id="build order"),
        pytest.param((), "all", ["alpha", "beta", "gamma", "plug", "either"], id="all that can be had"),
    ],
)
def test_select(machine: Machine, names: tuple[str, ...], group: str | None, expected: list[str]) -> None:
    chosen = machine.installed.pins.select(names=names, group=group)  # type: ignore[arg-type]
    assert [each.name for each in chosen] == expected


def test_unknown_name(machine: Machine) -> None:
    with pytest.raises(Permanent, match="no outside program is called 'delta'; known: alpha, beta"):
        machine.installed.pins.select(names=["delta"])


def test_a_group_that_must_be_asked_for_by_name(machine: Machine) -> None:
    list_ = machine.root / "tools" / "pins.yaml"
    list_.write_text(PINS.replace("groups: [all]", "groups: [talos-real]"))
    pins = machine.installed.pins
    assert [each.name for each in pins.select(group="talos-real")] == ["gamma"]
    assert "gamma" not in [each.name for each in pins.select(group="all")]


def test_what_a_pin_does_not_say_changes_no_recipe(machine: Machine) -> None:
    """Else every program would be built again when a pin can say one thing more."""
    plain = machine.installed.pins.recipe(machine.installed.pins.get("gamma"))
    list_ = machine.root / "tools" / "pins.yaml"
    for said in ("    tags: [minimal]\n", "    files: {module: example.org/two, take: [hack/x.toml]}\n"):
        list_.write_text(PINS.replace("    package: example.org/two\n", f"    package: example.org/two\n{said}"))
        assert machine.installed.pins.recipe(machine.installed.pins.get("gamma")) != plain
    list_.write_text(PINS)
    assert machine.installed.pins.recipe(machine.installed.pins.get("gamma")) == plain
    (machine.root / "tools" / "two" / "stand-in").mkdir()
    (machine.root / "tools" / "two" / "stand-in" / "x.go").write_text("package x\n")
    assert machine.installed.pins.recipe(machine.installed.pins.get("gamma")) != plain


# --- the shipped list ---

shipped = load_pins(pins_directory())
BUILT = [each for each in shipped.programs.values() if each.can_build]


@pytest.mark.parametrize("each", BUILT, ids=lambda each: each.name)
def test_shipped_pin_is_what_its_module_builds(each: Program) -> None:
    """The version of the pin is the version go.mod requires, and go.sum knows it."""
    module = shipped.directory / each.module
    if (module / each.name / "main.go").exists():
        assert each.version in each.symbols.values(), "a program of our own is told its version"
        return
    required = re.findall(r"^\s*(?:require )?(\S+) v(\S+)", (module / "go.mod").read_text(), flags=re.MULTILINE)
    owners = [
        (path, version) for path, version in required if each.package == path or each.package.startswith(f"{path}/")
    ]
    path, version = max(owners, key=lambda owner: len(owner[0]))
    assert version == each.version
    assert f"{path} v{version} h1:" in (module / "go.sum").read_text()


def test_one_kubernetes_library_for_the_whole_module() -> None:
    """A second client-go would cost minutes of a cold build."""
    replaced = re.findall(r"(k8s\.io/\S+) => (\S+) v(\S+)", (shipped.directory / "cluster" / "go.mod").read_text())
    assert len(replaced) > 30
    assert {version for _, _, version in replaced} == {"0" + shipped.get("kube-apiserver").version[1:]}
    assert all(left == right for left, right, _ in replaced)


def test_shipped_go_can_build_every_module() -> None:
    _, version = requirements(shipped)
    assert new_enough(version, minimum=shipped.go.minimum)
    for module in {each.module for each in BUILT}:
        wanted = re.search(r"^go (\S+)", (shipped.directory / module / "go.mod").read_text(), flags=re.MULTILINE)
        assert wanted is not None
        assert new_enough(shipped.go.minimum, minimum=wanted.group(1)), module
