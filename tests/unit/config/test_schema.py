"""The JSON Schemas in the repository are those of the models, and the shipped files obey them."""

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from infraflux.config.load import Fleet
from infraflux.config.schema import KINDS, schema_files, schema_of

ROOT = Path(__file__).parents[3]
WHERE = {
    "defaults": "config/defaults/*.yaml",
    "base": "clusters/base/*.yaml",
    "template": "clusters/templates/*.yaml",
    "environment": "config/environments/*.yaml",
    "overlay": "clusters/overlays/*/*.yaml",
}
SHIPPED = [(kind, file) for kind, pattern in WHERE.items() for file in sorted(ROOT.glob(pattern))]


@pytest.mark.parametrize("name", sorted(schema_files()))
def test_written_schemas_are_current(name):
    wrong = "stale: run `uv run infraflux config schema --write`"
    assert (ROOT / name).read_text("utf-8") == schema_files()[name], wrong


@pytest.mark.parametrize("kind", KINDS)
def test_every_schema_is_one(kind):
    jsonschema.Draft202012Validator.check_schema(schema_of(kind))


@pytest.mark.parametrize(("kind", "file"), SHIPPED, ids=lambda one: getattr(one, "stem", one))
def test_shipped_files_obey_their_schema_and_name_it(kind, file):
    jsonschema.validate(YAML(typ="safe").load(file), schema_of(kind))
    first = file.read_text("utf-8").splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert (file.parent / named).resolve() == ROOT / f"config/schema/{kind}.json"


def test_a_whole_cluster_obeys_its_schema():
    for spec in Fleet.load(ROOT).clusters.values():
        jsonschema.validate(json.loads(spec.model_dump_json()), schema_of("cluster"))


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("overlay", {"sise": "small"}),
        ("overlay", {"name": "dev-1"}),
        ("defaults", {"cluster_id": 1}),
        ("overlay", {"node_pools": [{"count": 1}]}),
        ("overlay", {"cluster_id": "1"}),
    ],
)
def test_editors_see_mistakes(kind, document):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema_of(kind))


@pytest.mark.parametrize(
    "document", [{"proxmox": {"ca_file": None}}, {"node_pools": [{"name": "cp", "$patch": "delete"}]}]
)
def test_editors_accept_removals(document):
    jsonschema.validate(document, schema_of("overlay"))
