"""Names: what the pattern allows goes through YAML and file paths unchanged, anything else is refused."""

import re
import string
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML

from infraflux.config.models.base import Name
from infraflux.config.patterns import NAME as PATTERN
from infraflux.config.scalars import core_value

NAME = TypeAdapter(Name)
INNER = string.ascii_lowercase + string.digits + "-"
ENDS = string.ascii_lowercase + string.digits

valid_names = st.builds(
    lambda first, middle, last: first + (middle + last if last else ""),
    st.sampled_from(ENDS),
    st.text(INNER, max_size=30),
    st.one_of(st.just(""), st.sampled_from(ENDS)),
)


@given(valid_names)
def test_valid_names_pass_and_come_back_from_yaml_as_written(name: str):
    assert NAME.validate_python(name) == name
    stream = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump({"name": name}, stream)
    text = stream.getvalue().removeprefix("name: ").strip()
    quoted = text[0] in "'\""
    # Our own reader takes what stands there for the same text.
    assert quoted or core_value(text) == name
    assert yaml.load(stream.getvalue()) == {"name": name}


@given(valid_names)
def test_valid_names_are_one_plain_path_part(name: str):
    assert not set(name) & set("/\\.~$ ")
    assert not name.startswith("-")
    assert len(name) <= 32


@given(st.text(max_size=40).filter(lambda text: not re.fullmatch(PATTERN.regex[1:-1], text)))
def test_anything_else_is_refused_with_the_pattern(text: str):
    with pytest.raises(ValidationError, match="match pattern"):
        NAME.validate_python(text)


@pytest.mark.parametrize("text", ["a\n", "-a", "a-", "A", "a_b", "", "a" * 33, "a.b", "../a", "${a}", "{{a}}"])
def test_known_traps_are_refused(text: str):
    with pytest.raises(ValidationError):
        NAME.validate_python(text)
