"""What the writer writes, every reader reads back: YAML 1.2, and YAML 1.1 as talosctl reads it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from infraflux.render.block_yaml import dump

AWKWARD = st.sampled_from(
    [
        "off",
        "No",
        "~",
        "null",
        "1.30",
        "12:34:56",
        "0x1f",
        "1e3",
        "- x",
        "a: b",
        "a #b",
        "${x}",
        "{{ x }}",
        "",
        " ",
        "y",
        "=",
        "a:",
    ]
)
TEXT = AWKWARD | st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | TEXT
DOCUMENTS = st.dictionaries(
    TEXT,
    st.recursive(SCALARS, lambda one: st.lists(one, max_size=3) | st.dictionaries(TEXT, one, max_size=3), max_leaves=8),
    max_size=4,
)


@pytest.mark.parametrize("version", [(1, 1), (1, 2)])
@given(document=DOCUMENTS)
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read_back(version, document):
    reader = YAML(typ="safe", pure=True)
    reader.version = version
    assert reader.load(dump(document)) == document


def test_it_is_block_yaml_for_people():
    document = {
        "machine": {"install": {"disk": "/dev/sda", "wipe": False}, "l": [{"a": 1, "b": ["x"]}, "off"], "e": {}}
    }
    assert dump(document) == (
        "machine:\n  install:\n    disk: /dev/sda\n    wipe: false\n"
        '  l:\n    - a: 1\n      b:\n        - x\n    - "off"\n  e: {}\n'
    )
