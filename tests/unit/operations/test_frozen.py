"""A run reads one tree of files: a commit's, or a copy where policy lets the working tree be dirty."""

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fakes.projects import commit_all, make_project

from infraflux.adapters.git_head import read_head
from infraflux.core.errors import Permanent
from infraflux.operations import frozen, opening
from infraflux.operations.frozen import IN_USE_S, KEPT, freeze
from infraflux.operations.sources import source_trees
from infraflux.render.talos import render_patches
from infraflux.render.terraform import render_cluster, to_tfvars

KEY = "dev/dev-1"
OVERLAY = "clusters/overlays/dev/dev-1.yaml"
PATCH = "config/patches/extra.yaml"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def frozen_tree(root: Path) -> Path:
    return freeze(root, read_head(root))


def contents(tree: Path) -> dict[str, bytes]:
    return {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file()}


def test_a_clean_commit_is_written_out_once(project: Path):
    tree = frozen_tree(project)
    assert tree.name == read_head(project).commit[:20]
    assert contents(tree)["terraform/main.txt"] == b"terraform"
    assert not (tree / ".git").exists()
    before = tree.stat().st_ino
    assert frozen_tree(project).stat().st_ino == before


def test_a_dirty_working_tree_is_copied_as_it_is(project: Path):
    (project / "platform/main.txt").write_text("edited")
    (project / "platform/new.txt").write_text("new")
    (project / "terraform/main.txt").unlink()
    (project / ".infraflux").mkdir(exist_ok=True)
    (project / ".infraflux/secret").write_text("ignored by Git")
    found = contents(frozen_tree(project))
    assert (found["platform/main.txt"], found["platform/new.txt"]) == (b"edited", b"new")
    assert [name for name in found if name == "terraform/main.txt" or ".infraflux" in name] == []


def test_a_dirty_tree_is_named_by_its_content(project: Path):
    names = []
    for text in ("a", "b", "a"):
        (project / "platform/main.txt").write_text(text)
        names.append(frozen_tree(project).name)
    assert names[0] == names[2] != names[1]
    assert all(name.startswith("local-") for name in names)


def test_a_script_stays_a_script(project: Path):
    script = project / "platform/run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert os.access(frozen_tree(project) / "platform/run.sh", os.X_OK)
    commit_all(project)
    assert os.access(frozen_tree(project) / "platform/run.sh", os.X_OK)


def test_without_a_repository_all_but_hidden_directories_is_copied(project: Path):
    shutil.rmtree(project / ".git")
    found = contents(frozen_tree(project))
    assert found["platform/main.txt"] == b"platform"
    assert [name for name in found if name.startswith((".infraflux/", ".git/"))] == []


def test_a_file_that_vanishes_meanwhile_stops_the_run(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(frozen, "_git_files", lambda _root: iter(["platform/main.txt", "platform/gone.txt"]))
    (project / "platform/main.txt").write_text("edited")
    with pytest.raises(Permanent, match="went away while the run began"):
        frozen_tree(project)
    assert [path.name for path in (project / ".infraflux/trees").iterdir()] == []


def test_runs_that_begin_together_share_one_tree(project: Path):
    with ThreadPoolExecutor(max_workers=4) as pool:
        trees = set(pool.map(lambda _number: frozen_tree(project), range(8)))
    (tree,) = trees
    assert [path for path in tree.parent.iterdir() if path != tree] == []


def of_age(project: Path, seconds: float, *texts: str) -> list[Path]:
    """Trees that were used last so long ago, each a second after the one before."""
    made = []
    for number, text in enumerate(texts):
        (project / "platform/main.txt").write_text(text)
        made.append(frozen_tree(project))
        at = time.time() - seconds + number
        os.utime(made[-1], (at, at))
    return made


def test_old_trees_go_and_the_last_used_stay(project: Path):
    # The newest of all is the one that is asked for now.
    old = of_age(project, IN_USE_S * 2, *(str(number) for number in range(KEPT + 2)))
    (project / "platform/main.txt").write_text("now")
    now = frozen_tree(project)
    assert now.exists()
    assert [path.exists() for path in old] == [False] * 3 + [True] * (KEPT - 1)


def test_no_tree_goes_that_a_run_may_still_read(project: Path):
    young = of_age(project, 60, *(str(number) for number in range(KEPT + 4)))
    assert frozen_tree(project).exists()
    assert all(path.exists() for path in young)


# What an opened cluster makes of its files


def add_patch(root: Path) -> None:
    """Name a patch file in dev-1, and make Terraform and platform worth reading."""
    (root / PATCH).parent.mkdir(exist_ok=True)
    (root / PATCH).write_text("machine:\n  sysctls:\n    vm.swappiness: '1'\n")
    overlay = root / OVERLAY
    overlay.write_text(
        overlay.read_text() + f"\ntalos:\n  patches:\n    all:\n      - name: extra\n        file: {PATCH}\n"
    )


def change_everything(root: Path) -> None:
    """What a pull brings: another patch, another address, another platform, other Terraform."""
    (root / PATCH).write_text("machine:\n  sysctls:\n    vm.swappiness: '99'\n")
    overlay = root / OVERLAY
    overlay.write_text(overlay.read_text() + "  install_disk: /dev/vdz\n")
    for name in ("terraform", "platform"):
        (root / name / "main.txt").write_text("pulled")


def rendered(opened: opening.OpenCluster) -> dict[str, object]:
    """Everything that stages read or make of the files."""
    trees = source_trees(opened.spec, root=opened.root, tree=opened.tree)
    return {
        "spec": opened.spec.model_dump_json(),
        "patches": render_patches(opened.spec, root=opened.tree),
        "tfvars": to_tfvars(render_cluster(opened.spec)),
        "fleet": sorted(opened.fleet.clusters),
        "files": contents(trees),
    }


@pytest.mark.parametrize("committed", [True, False], ids=["clean commit", "local changes"])
@pytest.mark.parametrize("pulled", [True, False], ids=["a pull", "an editor"])
def test_what_changes_in_mid_run_reaches_the_next_run_only(project: Path, committed: bool, pulled: bool):
    add_patch(project)
    if committed:
        commit_all(project)
    opened = opening.open_cluster(project, KEY)
    before, head = rendered(opened), opened.head
    assert head.dirty is not committed
    change_everything(project)
    if pulled:
        commit_all(project)
    assert rendered(opened) == before
    assert opened.head == head
    after = rendered(opening.open_cluster(project, KEY))
    assert [name for name in before if before[name] == after[name]] == ["tfvars", "fleet"]


def test_all_clusters_of_one_opened_project_read_one_tree(project: Path):
    opened = opening.open_project(project)
    overlay = project / "clusters/overlays/prod/prod-1.yaml"
    overlay.write_text("not: [valid")
    clusters = [opened.cluster(key) for key in ("dev/dev-1", "staging/staging-1", "prod/prod-1")]
    assert {one.tree for one in clusters} == {opened.tree}
