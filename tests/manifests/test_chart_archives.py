"""`infraflux platform validate`: shipped values fit the stand-ins, and a chart that differs is named with its key."""

import json
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from infraflux.cli.main import run
from infraflux_lab.gitops.archives import STANDIN_CHARTS, package_chart

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.tools


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def charts(tmp_path):
    """All stand-ins as archives, and a way to put a changed one in the place of one of them."""
    directory = tmp_path / "archives"
    directory.mkdir()
    for home in STANDIN_CHARTS.iterdir():
        archive = package_chart(home)
        (directory / archive.file_name).write_bytes(archive.data)

    def replace(name, change):
        home = tmp_path / "changed" / name
        shutil.copytree(STANDIN_CHARTS / name, home)
        next(directory.glob(f"{name}-[0-9v]*.tgz")).unlink()
        change(home)
        archive = package_chart(home)
        (directory / archive.file_name).write_bytes(archive.data)

    return directory, replace


def validate(capsys, *words):
    code = run(["platform", "validate", *words])
    return code, capsys.readouterr().out


def rewrite(path, change):
    document = YAML(typ="safe").load(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_the_shipped_values_fit_the_stand_ins(capsys):
    code, out = validate(capsys)
    assert code == 0, out
    assert "stand-ins (simulated charts" in out
    assert "0 problems" in out


def test_another_version_is_a_missing_archive(capsys, charts):
    directory, replace = charts
    replace("cert-manager", lambda home: rewrite(home / "Chart.yaml", lambda chart: chart.update(version="9.9.9")))
    code, out = validate(capsys, "--charts", str(directory))
    assert code == 1
    assert "cert-manager: overlay prod: no archive of chart cert-manager v1.20.2; there is 9.9.9" in out
    assert "3 problems" in out, "one for each overlay, and nothing else"


def test_a_key_that_the_chart_does_not_read_is_named_where_it_stands(capsys, charts):
    directory, replace = charts

    # Without its schema the stand-in is like most real charts: what its templates do not read goes unnoticed by helm.
    def change(home):
        (home / "values.schema.json").unlink()
        rewrite(home / "values.yaml", lambda values: values.pop("MTU"))
        template = home / "templates/config.yaml"
        template.write_text("".join(line for line in template.read_text().splitlines(True) if ".MTU" not in line))

    replace("cilium", change)
    code, out = validate(capsys, "--charts", str(directory), "-o", "json")
    assert code == 1
    told = {(one["where"], one["wrong"].split(":")[0]) for one in json.loads(out)}
    assert ("platform/infrastructure/cilium/base/values.yaml", "cgroup") in told
    assert ("what Terraform computes", "MTU") in told
    assert {where for where, _ in told} == {
        "platform/infrastructure/cilium/base/values.yaml",
        "what Terraform computes",
    }


def test_a_value_that_the_charts_schema_refuses_is_told_in_helms_words(capsys, charts):
    directory, replace = charts

    def change(home):
        refuse = {"kubeProxyReplacement": {"type": "string", "enum": ["strict"]}}
        rewrite(home / "values.schema.json", lambda schema: schema["properties"].update(refuse))

    replace("cilium", change)
    code, out = validate(capsys, "--charts", str(directory))
    assert code == 1
    assert "cilium: overlay prod" in out
    assert "kubeProxyReplacement" in out


def test_a_computed_value_that_the_charts_schema_refuses_is_told_with_its_cluster(capsys, charts):
    directory, replace = charts
    low = {"MTU": {"type": "integer", "maximum": 1000}}
    replace(
        "cilium",
        lambda home: rewrite(home / "values.schema.json", lambda schema: schema["properties"].update(low)),
    )
    code, out = validate(capsys, "--charts", str(directory), "-o", "json")
    assert code == 1
    told = {one["where"]: one["wrong"] for one in json.loads(out)}
    assert set(told) == {"cluster dev/dev-1", "cluster staging/staging-1", "cluster prod/prod-1"}
    assert all("MTU" in wrong for wrong in told.values())


def test_an_object_that_the_chart_makes_as_well_is_named(capsys, charts):
    directory, replace = charts
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: longhorn-system}\n"
    replace("longhorn", lambda home: (home / "templates/namespace.yaml").write_text(namespace))
    code, out = validate(capsys, "--charts", str(directory))
    assert code == 1
    assert "longhorn: overlay dev: the chart makes Namespace longhorn-system as well" in out
