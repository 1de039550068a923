"""docs/configuration.md says what the models say, for every key."""

from pathlib import Path

from infraflux.config.layers import OVERLAYS
from infraflux.config.models import ClusterSpec
from infraflux.config.patterns import MEANINGS
from infraflux.config.reference import reference, with_reference
from infraflux.config.tree import OPAQUE_KEYS

PAGE = Path(__file__).parents[3] / "docs/configuration.md"


def walk(node):
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from walk(child)
    elif isinstance(node, list):
        for child in node:
            yield from walk(child)


def test_the_page_is_current():
    page = PAGE.read_text("utf-8")
    assert with_reference(page) == page, "stale: run `uv run python scripts/write_reference.py`"


def test_every_key_of_the_models_is_in_it():
    schema = ClusterSpec.model_json_schema()
    keys = {key for section in (schema, *schema["$defs"].values()) for key in section.get("properties", {})}
    assert [key for key in sorted(keys) if f"`{key}`" not in reference()] == []


def test_every_key_says_what_it_means():
    rows = [line.split(" | ") for line in reference().splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows if len(row[-1].strip(" |")) < 4] == []


def test_every_pattern_has_words_for_people():
    patterns = {
        node["pattern"] for node in walk(ClusterSpec.model_json_schema()) if isinstance(node.get("pattern"), str)
    }
    assert patterns - set(MEANINGS) == set()


def test_free_form_maps_of_the_models_are_the_opaque_keys_of_the_merge():
    free = set()
    for node in walk(ClusterSpec.model_json_schema()):
        for key, value in (node.get("properties") or {}).items():
            if any(one.get("additionalProperties") is True for one in (value, *value.get("anyOf", []))):
                free.add(key)
    assert free == OPAQUE_KEYS


def test_the_layers_it_names_are_the_layers_read():
    assert f"`{OVERLAYS}/<env>/<cluster>.yaml`" in PAGE.read_text("utf-8")
