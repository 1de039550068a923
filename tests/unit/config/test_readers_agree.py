"""Inline and from a file, a scalar reaches the node, and the chart, as the same bytes: the real programs are asked."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from infraflux.adapters.helm import values_text
from infraflux.adapters.tools.locate import locate
from infraflux.config import patterns
from infraflux.config.problems import ConfigProblems
from infraflux.config.tree import plain
from infraflux.config.yaml_reader import read_yaml
from infraflux.core.process import run
from infraflux.render.block_yaml import dump

pytestmark = pytest.mark.tools

DIGITS = "0123456789"
WORDS = (
    "yes no on off y n Yes NO true True FALSE null ~ Null .inf -.INF .nan .5 -.5 .5_0 0644 0o644 0x1F 0b11 1_000 1e3"
)
WORDS += " 1E-3 1.30 -0 +0 -0.0 08 0_8 2030-01-31 2030-01-31T10:00:00Z 12:34:56 1:30 190:20:30 0.1.2 = + . 0x 0b 1e"
WORDS += " 9223372036854775808 18446744073709551616 -9223372036854775809 1e999 00 0.0 1. 1.e3 http://x:80/a a:b x#y"
PLAIN = st.sampled_from(WORDS.split()) | st.text(DIGITS + "._-+eExXoObBT:aAfFny~", min_size=1, max_size=8).filter(
    lambda text: not text.startswith(("- ", "-:", ":", "? ", "~:")) and not text.endswith(":") and text != "---"
)
QUOTED = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=8).map(json.dumps)
SCALARS = st.lists(PLAIN | QUOTED | PLAIN.map(lambda text: f"'{text}'"), min_size=1, max_size=30)
STYLES = st.sampled_from(["block", "flow"])

EXAMPLES = settings(max_examples=25, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck))
MANY = settings(EXAMPLES, max_examples=1500)
CHART = {
    "Chart.yaml": "apiVersion: v2\nname: echo\nversion: 0.1.0\n",
    "templates/all.yaml": "all: {{ .Values | toJson | quote }}\n",
}
BASE = """version: v1alpha1
machine:
  type: worker
  token: aaaaaa.bbbbbbbbbbbbbbbb
---
apiVersion: v1alpha1
kind: HostnameConfig
auto: stable
"""


def block(scalars: list[str], style: str) -> str:
    """The scalars as one map."""
    lines = [f"k{number}: {text}" for number, text in enumerate(scalars)]
    return "\n".join(lines) if style == "block" else "{" + ", ".join(lines) + "}"


def indented(text: str, by: int) -> str:
    return "\n" + "\n".join(" " * by + line for line in text.splitlines())


def read_below(key: str, text: str, directory: Path):
    """What our reader makes of it, and None where it refuses."""
    file = directory / "own.yaml"
    file.write_text(f"{key}:{indented(text, 2)}\n")
    try:
        return plain(read_yaml(file, root=directory), opaque=True)[key]
    except ConfigProblems as error:
        note(str(error))
        return None


@pytest.fixture(scope="module")
def where(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("readers")
    for name, text in CHART.items():
        (directory / "echo" / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / "echo" / name).write_text(text)
    (directory / "base.yaml").write_text(BASE)
    return directory


def patched(directory: Path, text: str) -> tuple[int, str]:
    """The machine config with this patch, as Talos writes it; its words where it refuses."""
    (directory / "patch.yaml").write_text(text)
    argv = [locate("talosctl"), "machineconfig", "patch", directory / "base.yaml", "--patch"]
    done = run([*argv, f"@{directory / 'patch.yaml'}"], deadline_s=120)
    return done.returncode, done.stdout if done.returncode == 0 else done.stderr.splitlines()[-1]


def rendered(directory: Path, name: str, text: str) -> str | None:
    (directory / name).write_text(text)
    argv = [locate("helm"), "template", "echo", directory / "echo", "--values", directory / name]
    done = run(argv, deadline_s=120, env={f"HELM_{kind}_HOME": str(directory) for kind in ("CACHE", "CONFIG", "DATA")})
    return done.stdout if done.returncode == 0 else None


def same_for_talos(where: Path, scalars: list[str], style: str) -> None:
    """Text, free-form and typed fields: the same scalar means different things in each."""
    below = indented(block(scalars, style), 6)
    text = f"machine:\n  kubelet:\n    extraConfig:{below}\n  sysctls:{indented(block(scalars, style), 4)}\n"
    content = read_below("content", text, where)
    file = patched(where, text)
    if content is None:
        assert file[0] != 0, "Talos reads what we refuse"
    else:
        assert patched(where, dump(content)) == file


def same_for_helm(where: Path, scalars: list[str], style: str) -> None:
    text = block(scalars, style)
    values = read_below("values", text, where)
    file = rendered(where, "values.yaml", text + "\n")
    if values is None:
        assert file is None, "Helm reads what we refuse"
    else:
        assert rendered(where, "values.json", json.dumps(values)) == file


@given(scalars=SCALARS, style=STYLES)
@EXAMPLES
def test_talos_gets_the_same_bytes_inline_and_from_a_file(where, scalars, style):
    same_for_talos(where, scalars, style)


@given(scalars=SCALARS, style=STYLES)
@EXAMPLES
def test_helm_gets_the_same_values_inline_and_from_a_file(where, scalars, style):
    same_for_helm(where, scalars, style)


@pytest.mark.slow
@given(scalars=SCALARS, style=STYLES)
@MANY
def test_talos_and_helm_agree_with_us_at_length(where, scalars, style):
    same_for_talos(where, scalars, style)
    same_for_helm(where, scalars, style)


@pytest.mark.parametrize("text", WORDS.split())
def test_a_number_for_talos_is_the_same_number_from_a_file(where, text):
    patch = f"machine:\n  files:\n    - path: /etc/a\n      op: create\n      content: a\n      permissions: {text}\n"
    content = read_below("content", patch, where)
    assert content is not None
    inline, file = patched(where, dump(content)), patched(where, patch)
    assert inline == file or (inline[0] == file[0] != 0)


LABELS = [word for word in WORDS.split() if re.fullmatch(patterns.LABEL_VALUE.regex[1:-1], word)]


@pytest.mark.parametrize(
    "place",
    ["machine.nodeLabels", "machine.nodeAnnotations", "machine.sysctls", "machine.kubelet.extraArgs", "machine.env"],
)
def test_text_that_we_write_for_talos_stays_text(where, place):
    """Labels, taints and facts are text to our models, whatever YAML makes of them without quotes."""
    texts = {f"k{number}": word for number, word in enumerate(LABELS)}
    assert {"yes", "null", "0644", "1e3", "2030-01-31"} <= set(LABELS)
    written = dump(nested(place, texts))
    quoted = json.dumps(nested(place, texts))
    assert patched(where, written)[0] == 0
    assert patched(where, written) == patched(where, quoted)


def nested(place: str, inner: dict) -> dict:
    for key in reversed(place.split(".")):
        inner = {key: inner}
    return inner


def test_helm_reads_characters_beyond_sixteen_bits(where):
    values = {"k": "\U0010a1bd \u009d \u00e9"}
    assert rendered(where, "values.json", values_text(values)) == rendered(
        where, "values.yaml", 'k: "\\U0010a1bd \\u009d \\u00e9"\n'
    )
    assert rendered(where, "values.json", values_text(values)) is not None
