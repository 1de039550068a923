"""The configuration's commands on copies of the shipped files, and the steps an upgrade may take."""

import json
import shutil
from pathlib import Path

import pytest

from infraflux.cli.main import run
from infraflux.config.load import Fleet
from infraflux.config.models.talos import Versions
from infraflux.config.parity import compare, refused
from infraflux.config.upgrade import upgrade_steps
from infraflux.render import render_cluster

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path, monkeypatch):
    for part in ("config", "clusters"):
        shutil.copytree(ROOT / part, tmp_path / part)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def replace(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_the_shipped_fleet_validates(project, capsys):
    assert run(["config", "validate"]) == 0
    assert "dev/dev-1" in capsys.readouterr().out


def test_mistakes_are_listed_with_exit_1_and_no_traceback(project, capsys):
    replace(project / "clusters/overlays/dev/dev-1.yaml", "size: small", "sise: small")
    assert run(["config", "validate", "dev/dev-1"]) == 1
    shown = capsys.readouterr().err
    assert "clusters/overlays/dev/dev-1.yaml:1: size: is missing" in shown
    assert "Traceback" not in shown


def test_explain_and_diff_show_a_changed_template(project, capsys):
    replace(project / "clusters/templates/small.yaml", "memory_mib: 4096", "memory_mib: 6144")
    assert run(["config", "explain", "node_pools.worker.memory_mib", "-c", "dev/dev-1"]) == 0
    assert "= 6144\n  set by clusters/templates/small.yaml:" in capsys.readouterr().out
    assert run(["config", "diff", "dev/dev-1", "staging/staging-1", "-o", "json"]) == 0
    found = {one["path"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["node_pools.worker.memory_mib"]["dev/dev-1"] == 6144


def test_environments_differ_only_where_allowed(project):
    assert refused(compare(Fleet.load(ROOT))) == []
    replace(project / "config/environments/prod.yaml", "proxmox:\n", "talos:\n  install_disk: /dev/sdb\nproxmox:\n")
    assert run(["config", "parity"]) == 1


def test_a_new_environment_and_cluster_validate(project, capsys):
    new = ["env", "new", "qa", "--endpoint", "https://pve.example.org:8006", "--node-cidr", "10.99.0.0/24"]
    assert run([*new, "--host", "pve-1", "--from", "staging"]) == 0
    assert run(["cluster", "new", "qa/qa-1", "--size", "medium"]) == 0
    assert run(["cluster", "new", "dev/dev-2"]) == 0, capsys.readouterr().err
    assert run(["config", "validate"]) == 0
    assert run(["env", "new", "Qa!", "--endpoint", "x", "--node-cidr", "10.98.0.0/24", "--host", "a"]) == 1


def test_rendering_is_byte_stable_and_written(project):
    assert run(["render", "dev/dev-1", "-o", "out"]) == 0
    spec = Fleet.load(project).cluster("dev/dev-1")
    for name, content in render_cluster(spec, project).items():
        assert (project / "out" / name).read_bytes() == content


@pytest.mark.parametrize(
    ("before", "after", "wrong"),
    [
        ("v1.35.1", "v1.36.3", None),
        ("v1.36.3", "v1.36.1", None),
        ("v1.34.1", "v1.36.3", "Kubernetes would skip from v1.34.1 to v1.36.3"),
        ("v1.36.3", "v1.35.9", "Kubernetes would go down from v1.36.3 to v1.35.9"),
    ],
)
def test_minors_go_up_one_at_a_time(before, after, wrong):
    previous = Versions(talos="v1.13.9", kubernetes=before)
    steps = upgrade_steps(Versions(talos="v1.13.9", kubernetes=after), previous=previous)
    assert steps.get("kubernetes", (None,))[0] == wrong


def test_a_skipped_version_is_refused_by_validate(project, capsys):
    assert run(["config", "show", "dev/dev-1", "-o", "json"]) == 0
    saved = json.loads(capsys.readouterr().out)
    saved["versions"]["kubernetes"] = "v1.34.2"
    (project / "before.json").write_text(json.dumps(saved))
    assert run(["config", "validate", "dev/dev-1", "--previous", "before.json"]) == 1
    assert "versions.kubernetes: Kubernetes would skip from v1.34.2" in capsys.readouterr().err


def test_parity_looks_at_every_cluster_and_not_only_the_first(project):
    assert run(["cluster", "new", "prod/prod-2"]) == 0
    assert refused(compare(Fleet.load(project))) == []
    overlay = project / "clusters/overlays/prod/prod-2.yaml"
    overlay.write_text(overlay.read_text() + "talos:\n  install_disk: /dev/sdb\n")
    [problem] = refused(compare(Fleet.load(project)))
    assert (problem.file, problem.path) == ("clusters/overlays/prod/prod-2.yaml", "talos.install_disk")
