"""An environment that names a release gets its pins, between its size and its own file, with their lines."""

import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from infraflux.config.load import Fleet, examine
from infraflux.config.parity import compare, refused
from infraflux.config.tree import find

ROOT = Path(__file__).parents[3]
PINS = """name: r1
pins:
  versions:
    talos: v1.13.8
    kubernetes: v1.36.2
  platform:
    components:
      - name: cert-manager
        version: {version}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The shipped fleet with a release that pins older versions."""
    for name in ("config", "clusters"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "releases").mkdir()
    components = YAML(typ="safe").load(ROOT / "config/defaults/platform.yaml")["platform"]["components"]
    version = next(one["version"] for one in components if one["name"] == "cert-manager")
    (tmp_path / "releases" / "r1.yaml").write_text(PINS.format(version=version))
    return tmp_path


def pin(root: Path, name: str, *, environment: str = "staging") -> None:
    path = root / "config/environments" / f"{environment}.yaml"
    path.write_text(path.read_text() + f"release: {name}\n")


def test_pins_reach_the_environment_that_names_them_and_no_other(project: Path):
    pin(project, "r1")
    fleet = Fleet.load(project)
    assert (fleet.cluster("staging/staging-1").versions.talos, fleet.cluster("staging/staging-1").release) == (
        "v1.13.8",
        "r1",
    )
    assert (fleet.cluster("dev/dev-1").versions.talos, fleet.cluster("dev/dev-1").release) == ("v1.13.9", None)


def test_a_pinned_value_says_which_release_and_line_it_is_from(project: Path):
    pin(project, "r1")
    found = find(Fleet.load(project).trees["staging/staging-1"], ("versions", "talos"))
    assert (found.file, found.line) == ("releases/r1.yaml", 4)
    assert [old.file for old in found.history] == ["config/defaults/versions.yaml"]


def test_the_environments_own_file_wins(project: Path):
    pin(project, "r1\nversions: {talos: v1.13.9}")
    assert Fleet.load(project).cluster("staging/staging-1").versions.talos == "v1.13.9"


def test_pins_keep_the_rest_of_a_component(project: Path):
    pin(project, "r1")
    fleet = Fleet.load(project)
    sides = [
        {one.name: one for one in fleet.cluster(key).platform.components}["cert-manager"]
        for key in ("dev/dev-1", "staging/staging-1")
    ]
    assert sides[0] == sides[1]


def test_environments_ahead_of_each_other_keep_parity(project: Path):
    pin(project, "r1")
    assert refused(compare(Fleet.load(project))) == []


MISTAKES = {
    "unknown": ("r11", "there is no release 'r11'", "did you mean r1?"),
    "no pins": ("empty", "pins: is not what a release holds there", "restore the file"),
}


@pytest.mark.parametrize(("name", "wrong", "right"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_told_with_the_way_out(project: Path, name: str, wrong: str, right: str):
    (project / "releases" / "empty.yaml").write_text("name: empty\n")
    pin(project, name)
    texts = [str(problem) for problem in examine(project).problems]
    assert any(wrong in text and right in text for text in texts), texts


def test_a_release_belongs_to_a_whole_environment(project: Path):
    path = project / "clusters/overlays/dev/dev-1.yaml"
    path.write_text(path.read_text() + "release: r1\n")
    assert any("belongs to a whole environment" in str(problem) for problem in examine(project).problems)


CLASSES = """commit: {commit}
machine_classes:
  medium/cp: {{cores: 6, memory_mib: 6144, system_disk_gib: 48}}
  medium/gone: {{cores: 1, memory_mib: 1024, system_disk_gib: 8}}
  small/cp: {{cores: 1, memory_mib: 1024, system_disk_gib: 8}}
"""
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def cut_with_classes(project: Path) -> None:
    path = project / "releases" / "r1.yaml"
    path.write_text(path.read_text() + CLASSES.format(commit=COMMIT))
    pin(project, "r1")


def test_machine_classes_of_the_size_are_pinned_and_no_pool_is_made_of_them(project: Path):
    cut_with_classes(project)
    fleet = Fleet.load(project)
    pools = {one.name: one for one in fleet.cluster("staging/staging-1").node_pools}
    assert set(pools) == {"cp", "worker"}
    assert (pools["cp"].cores, pools["cp"].memory_mib, pools["cp"].system_disk_gib) == (6, 6144, 48)
    assert {one.cores for one in fleet.cluster("dev/dev-1").node_pools} == {2}
    found = find(fleet.trees["staging/staging-1"], ("node_pools", "cp", "cores"))
    assert found.file == "releases/r1.yaml"


def test_argo_cd_follows_the_commit_of_the_release(project: Path):
    cut_with_classes(project)
    fleet = Fleet.load(project)
    revisions = {key: fleet.cluster(key).gitops.platform.revision for key in ("staging/staging-1", "dev/dev-1")}
    assert revisions == {"staging/staging-1": COMMIT, "dev/dev-1": "main"}
    assert refused(compare(fleet)) == []
