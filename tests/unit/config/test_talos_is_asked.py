"""The real talosctl is asked before anything is touched; each case is laid over the small fleet."""

import shutil
from pathlib import Path

import pytest

from infraflux.adapters.tools.locate import Found, Source, this_machine
from infraflux.config.load import examine
from infraflux.config.problems import ConfigProblems
from infraflux.core import process
from infraflux.core.errors import ErrorClass
from infraflux.operations.machine_configs import TalosCheck, check_examined, require_valid

pytestmark = pytest.mark.tools

FIXTURES = Path(__file__).parents[2] / "fixtures"
CASES = sorted((FIXTURES / "refused-by-talos").iterdir())
TAKEN = sorted((FIXTURES / "taken-by-talos").iterdir())

MISSING = Found(program=this_machine().pins.get("talosctl"), source=Source.MISSING, version="1.13.9")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """A cache of our own, in which nothing was asked yet; the programs stay where they are."""
    this_machine()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "infraflux"


@pytest.fixture
def fleet(tmp_path) -> Path:
    shutil.copytree(FIXTURES / "fleet", tmp_path / "fleet")
    return tmp_path / "fleet"


class Counting:
    """The real programs, and how often they were started."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, argv, *, deadline_s, on_line=None):
        self.calls.append([str(word) for word in argv[1:]])
        return process.run(argv, deadline_s=deadline_s, on_line=on_line)


def lay(case: str, fleet: Path) -> None:
    shutil.copytree(FIXTURES / "refused-by-talos" / case, fleet, dirs_exist_ok=True)


def ask(root: Path, **options):
    examined = examine(root)
    return check_examined(examined, examined.keys, root=root, **options)


def told(root: Path) -> list[str]:
    examined = examine(root)
    asked = check_examined(examined, examined.keys, root=root)
    assert asked.note == ""
    return [str(problem) for problem in sorted({*examined.problems, *asked.problems})]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_talos_refuses_is_told_with_its_place(case, tmp_path):
    root = tmp_path / "fleet"
    shutil.copytree(FIXTURES / "fleet", root)
    shutil.copytree(case, root, dirs_exist_ok=True)
    assert told(root) == (root / "expect").read_text().splitlines()


@pytest.mark.parametrize("case", TAKEN, ids=lambda case: case.name)
def test_what_a_hint_names_is_taken(case, tmp_path):
    root = tmp_path / "fleet"
    shutil.copytree(FIXTURES / "fleet", root)
    shutil.copytree(case, root, dirs_exist_ok=True)
    assert told(root) == []


def test_every_node_is_validated_in_both_modes(fleet):
    runner = Counting()
    assert ask(fleet, runner=runner) == TalosCheck(asked=5)
    modes = sorted((words[2], Path(words[4]).name) for words in runner.calls if words[0] == "validate")
    nodes = sorted(f"{node.name}.yaml" for node in examine(fleet).fleet.cluster("dev/dev-1").nodes)
    assert modes == [(mode, node) for mode in ("cloud", "metal") for node in nodes]


def test_what_data_disks_make_is_a_machine_config_to_talos(fleet):
    target = fleet / "clusters/overlays/dev/dev-1.yaml"
    shutil.copyfile(FIXTURES / "valid" / "data-disks-as-volumes.yaml", target)
    assert examine(fleet).fleet.cluster("dev/dev-1").workers[0].data_disks[0].is_volume
    assert told(fleet) == []


def test_what_was_valid_is_not_asked_again(fleet, cache):
    ask(fleet)
    again = Counting()
    assert ask(fleet, runner=again) == TalosCheck()
    assert again.calls == []
    assert (cache / "talos-verdicts").stat().st_mode & 0o777 == 0o600


def test_only_what_changed_is_asked_again(fleet):
    ask(fleet)
    lay("hostname-the-older-way", fleet)
    again = Counting()
    assert len(ask(fleet, runner=again).problems) == 1
    assert not [words for words in again.calls if "dev-1-worker-1.yaml" in words[-1]]


def test_a_refused_config_is_asked_about_each_time(fleet):
    lay("wrong-type", fleet)
    assert ask(fleet).problems == ask(fleet).problems != ()


def test_nothing_is_left_behind_but_digests(fleet, cache):
    lay("wrong-type", fleet)
    ask(fleet)
    assert [path for path in cache.rglob("*") if path.is_file() and path.parent.name != "tools"] == []
    assert not (fleet / ".infraflux").exists()


def test_a_cache_that_cannot_be_read_only_costs_time(fleet, cache):
    cache.mkdir(parents=True)
    (cache / "talos-verdicts").mkdir()
    assert ask(fleet) == TalosCheck(asked=5)


def test_without_the_program_it_says_so(fleet, monkeypatch):
    monkeypatch.setattr(type(this_machine()), "find", lambda _self, _name: MISSING)
    assert ask(fleet).note == (
        "Talos was not asked: talosctl 1.13.9 is not installed; `infraflux tools install talosctl` brings it"
    )
    assert ask(fleet, wanted=False).note.startswith("Talos was not asked (--no-talos)")


def test_a_preflight_refuses_what_talos_refuses(fleet):
    lay("wrong-type", fleet)
    found = examine(fleet).fleet
    with pytest.raises(ConfigProblems) as caught:
        require_valid(found.cluster("dev/dev-1"), root=fleet, tree=found.trees["dev/dev-1"])
    assert caught.value.error_class is ErrorClass.CONFIG
    assert [problem.path for problem in caught.value.problems] == ["talos.patches.all.odd"]


def test_a_preflight_without_the_program_says_so(fleet, monkeypatch):
    monkeypatch.setattr(type(this_machine()), "find", lambda _self, _name: MISSING)
    found, said = examine(fleet).fleet, []
    require_valid(found.cluster("dev/dev-1"), root=fleet, tree=found.trees["dev/dev-1"], log=said.append)
    assert len(said) == 1


def test_a_reference_is_judged_by_something_of_its_form(fleet):
    """WireGuard's keys are checked; no secret is opened for that, and none has to be there."""
    overlay = (FIXTURES / "valid" / "secret-references-in-patches.yaml").read_text()
    (fleet / "clusters/overlays/dev/dev-1.yaml").write_text(overlay)
    assert told(fleet) == []
    (fleet / "clusters/overlays/dev/dev-1.yaml").write_text(overlay.replace("file:.infraflux/wg0.key", "no-key"))
    (message,) = told(fleet)
    assert "talos.patches.all.mesh" in message
