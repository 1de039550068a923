"""One mistake, one message: every key of a right configuration misspelt, every value made wrong, one at a time."""

import copy
from pathlib import Path

import pytest

from infraflux.config.load import examine
from infraflux.config.tree import OPAQUE_KEYS, plain
from infraflux.config.yaml_reader import read_yaml
from infraflux.render.block_yaml import dump

FLEET = Path(__file__).parents[2] / "fixtures" / "fleet"
FILES = [file for file in sorted(FLEET.rglob("*.yaml")) if "patches" not in file.parts]
DOCUMENTS = {file.relative_to(FLEET): plain(read_yaml(file, root=FLEET)) for file in FILES}
FREE = {*OPAQUE_KEYS, "labels", "facts"}


def keys_of(value, path=()):
    """Every key of the models, by its path."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield (*path, key)
            if key not in FREE:
                yield from keys_of(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from keys_of(child, (*path, index))


def changed(file, path, change):
    document = copy.deepcopy(DOCUMENTS[file])
    below = document
    for part in path[:-1]:
        below = below[part]
    change(below, path[-1])
    return document


def misspell(below, key):
    """The same place and value, with its last two letters exchanged or one doubled."""
    wrong = key[:-2] + key[-1] + key[-2] if len(key) > 3 and key[-1] != key[-2] else key + key[-1]
    items = [(wrong if one == key else one, value) for one, value in below.items()]
    below.clear()
    below.update(items)


def examined(file, document):
    return examine(FLEET, instead={file: dump(document)}).problems


# `name` tells the items of a list apart: without it the list is another one, and merging cannot know which was meant.
CASES = [(file, path) for file in DOCUMENTS for path in keys_of(DOCUMENTS[file]) if path[-1] != "name"]


@pytest.mark.parametrize(
    ("file", "path"), CASES, ids=lambda one: ".".join(map(str, one)) if isinstance(one, tuple) else one.name
)
def test_a_misspelt_key_is_one_problem(file, path):
    problems = examined(file, changed(file, path, misspell))
    assert len(problems) == 1, "\n".join(map(str, problems))
    assert "did you mean" in problems[0].right


def test_two_misspelt_keys_are_two_problems():
    file = Path("clusters/overlays/dev/dev-1.yaml")
    document = changed(file, ("network", "vip"), misspell)
    misspell(document["network"], "domain")
    assert [problem.wrong for problem in examined(file, document)] == ["unknown key 'vipp'", "unknown key 'domani'"]


def test_wrong_items_are_not_also_missing():
    file = Path("config/defaults/all.yaml")
    document = copy.deepcopy(DOCUMENTS[file]) | {"network": {"ntp": ["-x", "time.example.org"], "dns": ["one"]}}
    assert {problem.path for problem in examined(file, document)} == {"network.dns.0", "network.ntp.0"}
