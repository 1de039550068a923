"""Chart archives as `helm pull` leaves them, and which values no chart would read."""

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.specs import make_spec

from infraflux.adapters.charts import ChartArchive, Rendering, read_archive, read_archives, unknown_keys, without
from infraflux.core.errors import Permanent
from infraflux.operations.chart_check import Case, ChartCheck, cases

TREE = Path(__file__).parents[3] / "platform"


def archive(directory, files, name="web-1.0.0.tgz"):
    path = directory / name
    with tarfile.open(path, mode="w:gz") as packed:
        for inside, text in files.items():
            entry = tarfile.TarInfo(f"web/{inside}")
            entry.size = len(text)
            packed.addfile(entry, io.BytesIO(text.encode()))
    return path


CHART = "apiVersion: v2\nname: web\nversion: 1.0.0\ndependencies: [{name: grafana, alias: boards}]\n"


def test_subcharts_are_known_by_their_alias(tmp_path):
    path = archive(
        tmp_path,
        {
            "Chart.yaml": CHART,
            "values.yaml": "replicas: 1\nboards: {enabled: true}\n",
            "charts/grafana/Chart.yaml": "name: grafana\nversion: 9.0.0\n",
            "charts/grafana/values.yaml": "admin: {password: ''}\n",
            "charts/grafana/charts/deeper/values.yaml": "no: 1\n",
            "charts/grafana/values.schema.json": json.dumps({"properties": {"theme": {"type": "string"}}}),
        },
    )
    chart = read_archive(path)
    assert (chart.name, chart.version) == ("web", "1.0.0")
    assert chart.defaults == {"replicas": 1, "boards": {"global": {}, "admin": {"password": ""}, "enabled": True}}
    assert unknown_keys({"boards": {"admin": {"password": "x"}, "theme": "dark", "thme": "dark"}}, chart) == [
        ("boards", "thme")
    ]


@pytest.mark.parametrize("files", [{"values.yaml": "a: 1"}, {"Chart.yaml": "name: web\n"}, {"Chart.yaml": "["}])
def test_what_is_no_chart_is_named(tmp_path, files):
    with pytest.raises(Permanent, match=r"web-1\.0\.0\.tgz is no chart archive"):
        read_archive(archive(tmp_path, files))


def test_an_empty_directory_says_how_to_fill_it(tmp_path):
    with pytest.raises(Permanent, match="helm pull"):
        read_archives(tmp_path)


def chart(defaults, schema=None, **changes):
    known = {"path": Path("web-1.0.0.tgz"), "name": "web", "version": "1.0.0"}
    return ChartArchive(**known | changes, defaults=defaults, schema=schema or {})


@pytest.mark.parametrize(
    ("values", "unknown"),
    [
        ({"replicas": 3}, []),
        ({"replcas": 3}, [("replcas",)]),
        ({"hubble": {"relay": {"enbled": True}}}, [("hubble", "relay", "enbled")]),
        ({"labels": {"anything": "goes"}}, []),
        ({"nothing": {"anything": "goes"}}, []),
        ({"described": {"known": 1, "other": 2}}, [("described", "other")]),
        ({"free": {"any": 1}}, []),
    ],
)
def test_keys_of_neither_defaults_nor_schema_are_unknown(values, unknown):
    defaults = {"replicas": 1, "hubble": {"relay": {"enabled": False}}, "labels": {}, "nothing": None}
    schema = {"properties": {"described": {"properties": {"known": {}}}, "free": {"type": "object"}}}
    assert unknown_keys(values, chart(defaults, schema)) == unknown


def test_a_key_is_taken_out_alone():
    assert without({"a": {"b": 1, "c": 2}, "d": 3}, ("a", "b")) == {"a": {"c": 2}, "d": 3}


class Renderer:
    """Renders nothing but what it is told; `dead` are the keys without effect."""

    def __init__(self, *, dead=(), error="", text=""):
        self.dead, self.error, self.text = dead, error, text

    def render(self, chart, *, release, namespace, values):
        return Rendering(text=self.text, error=self.error)

    def without_effect(self, chart, *, release, namespace, values, keys):
        return [key for key in keys if key in self.dead]


def check(renderer, *archives):
    known = {(one.name, one.version): one for one in archives}
    return ChartCheck(tree=TREE, archives=known, renderer=renderer, kustomize=Path("kustomize"))


def case(tmp_path, text, where="overlay dev"):
    file = TREE / "infrastructure/cilium/base/values.yaml"
    own = {} if where.startswith("overlay") else {"hubbel": {"enabled": True}}
    other = tmp_path / "values.yaml"
    other.write_text(text)
    return Case(component="cilium", where=where, version="1.19.3", files=(file, other), own=own)


def test_a_missing_archive_is_told_with_what_is_there(tmp_path):
    other = chart({}, name="cilium", version="1.18.0")
    problems = check(Renderer(), other).examine([case(tmp_path, "")])
    assert [str(one) for one in problems] == ["cilium: overlay dev: no archive of chart cilium 1.19.3; there is 1.18.0"]


def test_helms_own_words_are_kept(tmp_path):
    cilium = chart({}, name="cilium", version="1.19.3")
    problems = check(Renderer(error="values don't meet the schema"), cilium).examine([case(tmp_path, "")])
    assert problems[0].wrong == "values don't meet the schema"


def test_a_variable_that_a_value_repeats_is_named(tmp_path):
    cilium = chart({}, name="cilium", version="1.19.3")
    pod = "{containers: [{name: a, env: [{name: X}, {name: X}]}]}"
    text = f"kind: Pod\nmetadata: {{name: agent}}\nspec: {pod}\n"
    problems = check(Renderer(text=text), cilium).examine([case(tmp_path, "")])
    assert [one.wrong for one in problems] == ["Pod agent has env: X twice, which the API server refuses"]


def test_a_dead_key_is_told_once_with_its_nearest_neighbour(tmp_path):
    cilium = chart({"hubble": {}, "ipam": None}, name="cilium", version="1.19.3")
    todo = [case(tmp_path, "", where=f"cluster dev/dev-{number}") for number in (1, 2)]
    problems = check(Renderer(dead=[("hubbel",)]), cilium).examine(todo)
    assert [str(one) for one in problems] == [
        "cilium: the cluster's own values: hubbel: chart cilium has no such value, it renders the same without it; "
        "did you mean hubble?"
    ]


def test_a_computed_key_is_blamed_on_terraform_unless_the_cluster_says_it_again(tmp_path):
    cilium = chart({"on": False}, name="cilium", version="1.19.3")
    plain = case(tmp_path, "")
    told = set()
    for own in ({}, {"hubbel": 2}):
        todo = [replace(plain, where="cluster dev/dev-1", computed={"hubbel": 1}, own=own)]
        told |= {one.where for one in check(Renderer(dead=[("hubbel",)]), cilium).examine(todo)}
    assert told == {"what Terraform computes", "the cluster's own values"}


def test_a_cluster_that_terraform_computes_values_for_is_a_case():
    spec = make_spec()
    (found,) = [one for one in cases(TREE, [spec], computed={spec.key: {"cilium": {"MTU": 1500}}}) if one.computed]
    assert (found.component, found.where) == ("cilium", f"cluster {spec.key}")
    assert found.values["MTU"] == 1500


def test_a_key_that_some_case_needs_is_no_mistake(tmp_path):
    class SwitchedOff(Renderer):
        def without_effect(self, chart, *, values, keys, **_):
            return [] if values.get("on") else list(keys)

    cilium = chart({"on": False}, name="cilium", version="1.19.3")
    todo = [case(tmp_path, "", where="cluster dev/dev-1"), case(tmp_path, "", where="cluster dev/dev-2")]
    (tmp_path / "values.yaml").write_text("on: true\n")
    assert check(SwitchedOff(), cilium).examine(todo) == []


def test_every_overlay_of_every_component_is_a_case():
    found = {(one.component, one.where) for one in cases(TREE, [])}
    homes = [path.parent for path in TREE.glob("infrastructure/*/component.yaml")]
    assert found == {
        (home.name, where)
        for home in homes
        for where in ("base", *(f"overlay {path.name}" for path in home.glob("overlays/*")))
    }
    assert ("monitoring", "overlay staging") in found
