"""One scalar, three readers: what our models, Helm and Talos make of what stands there without quotes."""

import json

import pytest

from infraflux.config.models.talos import Patch
from infraflux.config.scalars import Plain, core_value, helm_value, talos_value, with_marks
from infraflux.config.tree import plain
from infraflux.config.yaml_reader import read_yaml
from infraflux.render.block_yaml import dump

READINGS = [
    # text, our models, Helm, whether Talos gets it as it is written
    ("0644", 644, 420, True),
    ("0o644", 420, 420, True),
    ("08", 8, 8.0, True),
    ("0x1F", 31, 31, True),
    ("0b11", "0b11", 3, True),
    ("1_000", "1_000", 1000, True),
    ("0_7", "0_7", 7, True),
    ("+7", 7, 7, True),
    ("-0", 0, 0, True),
    ("1e3", 1000.0, 1000.0, True),
    ("1.30", 1.3, 1.3, True),
    (".5", 0.5, 0.5, True),
    ("2030-01-31", "2030-01-31", "2030-01-31", True),
    ("yes", "yes", True, True),
    ("y", "y", True, True),
    ("off", "off", False, True),
    ("True", True, True, True),
    ("1e999", float("inf"), "1e999", True),
    ("12:34:56", "12:34:56", "12:34:56", False),
    ("10.0.0.1", "10.0.0.1", "10.0.0.1", False),
    ("42", 42, 42, False),
    ("1.5", 1.5, 1.5, False),
    ("true", True, True, False),
    ("v1.13.9", "v1.13.9", "v1.13.9", False),
]


@pytest.mark.parametrize(("text", "ours", "helm", "kept"), READINGS, ids=[row[0] for row in READINGS])
def test_each_reader_has_its_own_idea(text, ours, helm, kept):
    for found, wanted in ((core_value(text), ours), (helm_value(text), helm)):
        assert (found, type(found)) == (wanted, type(wanted))
    assert isinstance(talos_value(text), Plain) == kept
    # Talos gets either the same characters, or the same text in quotes.
    assert dump({"a": talos_value(text)}) in (f"a: {text}\n", f'a: "{text}"\n')


@pytest.mark.parametrize("text", ["null", "Null", "~", ""])
def test_nothing_is_nothing_to_everybody(text):
    assert [core_value(text), helm_value(text), talos_value(text)] == [None, None, None]


def test_the_key_above_says_who_reads(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(
        "own: 0644\n"
        "values: {mode: 0644, list: [yes, 'yes'], content: {x: 1_000}}\n"
        "content: {mode: 0644, values: [on]}\n"
    )
    assert plain(read_yaml(file, root=tmp_path)) == {
        "own": 644,
        "values": {"mode": 420, "list": [True, "yes"], "content": {"x": 1000}},
        "content": {"mode": Plain("0644"), "values": [Plain("on")]},
    }


def test_what_only_talos_can_read_goes_through_json():
    content = {"files": [{"permissions": Plain("0644")}], "on": Plain("2030-01-31"), "text": "0644"}
    patch = Patch.model_validate_json(json.dumps({"name": "a", "content": with_marks(content)}), strict=True)
    again = Patch.model_validate_json(patch.model_dump_json(), strict=True)
    assert dump(again.content or {}) == ('files:\n  - permissions: 0644\n"on": 2030-01-31\ntext: "0644"\n')
