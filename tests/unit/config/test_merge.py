"""Layers merge the same way in any grouping, and every value knows a line that holds it."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infraflux.config.tree import DELETE_KEY, Value, find, leaves, merge, plain
from infraflux.config.yaml_reader import read_yaml
from infraflux.render.block_yaml import dump

KEYS = st.sampled_from(["a", "b", "c", "values"])
SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["x", "1.30", "off", "null", "- y"])


def containers(children):
    named = st.dictionaries(KEYS, children, max_size=2).map(lambda rest: rest)
    items = st.lists(
        st.tuples(st.sampled_from(["one", "two", "three"]), named), unique_by=lambda one: one[0], max_size=3
    )
    return (
        st.dictionaries(KEYS, children, max_size=3)
        | st.lists(children, max_size=2)
        | items.map(lambda found: [{"name": name, **rest} for name, rest in found])
        | st.sampled_from(["one", "two"]).map(lambda name: [{"name": name, DELETE_KEY: "delete"}])
    )


DOCUMENTS = st.dictionaries(KEYS, st.recursive(SCALARS, containers, max_leaves=8), max_size=4)


def located(document, file="f.yaml"):
    if isinstance(document, dict):
        return Value({key: located(child, file) for key, child in document.items()}, file, 1)
    if isinstance(document, list):
        return Value([located(child, file) for child in document], file, 1)
    return Value(document, file, 1)


@given(DOCUMENTS, DOCUMENTS, DOCUMENTS)
@settings(max_examples=300, deadline=None)
def test_merging_is_associative(low, middle, high):
    a, b, c = located(low), located(middle), located(high)
    assert plain(merge(merge(a, b), c)) == plain(merge(a, merge(b, c)))


@given(DOCUMENTS)
@settings(deadline=None)
def test_an_empty_layer_changes_nothing(document):
    tree = located(document)
    assert plain(merge(tree, located({}))) == plain(tree)
    assert plain(merge(located({}), tree)) == plain(tree)


@given(DOCUMENTS, DOCUMENTS)
@settings(deadline=None)
def test_merging_leaves_its_inputs_alone(low, high):
    a, b = located(low), located(high)
    before = (plain(a), plain(b))
    merge(a, b)
    assert (plain(a), plain(b)) == before


@given(DOCUMENTS, DOCUMENTS)
@settings(max_examples=100, deadline=None)
def test_provenance_points_at_a_line_that_holds_the_value(tmp_path_factory, low, high):
    root = tmp_path_factory.mktemp("layers")
    trees = [written(root / name, document) for name, document in (("low.yaml", low), ("high.yaml", high))]
    merged = merge(*trees)
    for path, value in leaves(merged):
        for one in (value, *value.history):
            line = (root / one.file).read_text().splitlines()[one.line - 1]
            assert holds(line, one, path), (line, one, path)


def written(file: Path, document) -> Value:
    file.write_text(dump(document))
    return read_yaml(file, root=file.parent)


def holds(line: str, value: Value, path) -> bool:
    if value.data is None:
        return line.rstrip().endswith((":", "-", "null"))
    if isinstance(value.data, (dict, list)):
        return bool(line.strip())
    shown = (
        {True: "true", False: "false"}.get(value.data, str(value.data))
        if isinstance(value.data, bool)
        else str(value.data)
    )
    return shown in line


CASES = [
    ("maps merge", {"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
    ("scalars replace", {"a": 1}, {"a": 2}, {"a": 2}),
    ("null removes", {"a": 1, "b": 2}, {"a": None}, {"b": 2}),
    ("null removes a section", {"a": {"b": 1}}, {"a": None}, {}),
    ("named lists merge by name", {"l": [{"name": "x", "a": 1}]}, {"l": [{"name": "y"}, {"name": "x", "b": 2}]},
     {"l": [{"name": "x", "a": 1, "b": 2}, {"name": "y"}]}),
    ("a named item is deleted", {"l": [{"name": "x"}, {"name": "y"}]}, {"l": [{"name": "x", "$patch": "delete"}]},
     {"l": [{"name": "y"}]}),
    ("other lists replace", {"l": [1, 2]}, {"l": [3]}, {"l": [3]}),
    ("an empty list empties", {"l": [{"name": "x"}]}, {"l": []}, {"l": []}),
    ("helm values keep null", {"values": {"a": {"b": 1}}}, {"values": {"a": {"b": None}}},
     {"values": {"a": {"b": None}}}),
    ("helm lists replace", {"values": {"l": [{"name": "x"}]}}, {"values": {"l": [{"name": "y"}]}},
     {"values": {"l": [{"name": "y"}]}}),
    ("talos deletes are data", {}, {"content": {"l": [{"name": "x", "$patch": "delete"}]}},
     {"content": {"l": [{"name": "x", "$patch": "delete"}]}}),
]  # fmt: skip


@pytest.mark.parametrize(("_name", "low", "high", "merged"), CASES, ids=[case[0] for case in CASES])
def test_the_documented_rules(_name, low, high, merged):
    assert plain(merge(located(low), located(high))) == merged


def test_a_value_remembers_all_it_overrode():
    low, middle, high = (located({"a": number}, f"{number}.yaml") for number in (1, 2, 3))
    found = find(merge(merge(low, middle), high), ("a",))
    assert found is not None
    assert [found.file, *(old.file for old in found.history)] == ["3.yaml", "2.yaml", "1.yaml"]
