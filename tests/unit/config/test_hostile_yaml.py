"""Files made to hurt: refused before anything is built from them."""

import subprocess
import sys
from pathlib import Path

import pytest

from infraflux.config.problems import ConfigProblems
from infraflux.config.scalars import core_value
from infraflux.config.tree import find
from infraflux.config.yaml_reader import read_yaml
from infraflux.config.yaml_source import MAX_BYTES

BOMBS = {
    "fifty-megabytes": (b"a: " + b"x" * (50 * 1024 * 1024), f"has 52428803 bytes; at most {MAX_BYTES} are read"),
    "alias-bomb": (
        b"a: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(ord("b"), ord("j"))),
        "*a repeats another value",
    ),
    "deep-flow": (b"a: " + b"[" * 10_000, "nests deeper than 40 levels; flatten it"),
    "deep-flow-closed": (b"a: " + b"[" * 10_000 + b"]" * 10_000, "nests deeper than 40 levels; flatten it"),
    "deep-block": (b"".join(b" " * n + b"k:\n" for n in range(1, 1000)), "nests deeper than 40 levels; flatten it"),
    "hundred-thousand-keys": (b"".join(b"k%d: v\n" % n for n in range(100_000)), "holds more than 20000 values"),
    "huge-number": (b"a: " + b"9" * 900_000, None),
    "python-object": (b"a: !!python/object/apply:os.system [id]\n", "has the tag"),
    "question-mark-keys": (b"? " * 50_000, "uses a map or a list as a key; keys are text"),
    "nul": (b"a: b\x00c\n", "holds the invisible character U+0000"),
    "utf-16": ("a: b\n".encode("utf-16"), "begins with a byte order mark"),
}

CHILD = """
import resource, sys
from pathlib import Path
from infraflux.config.problems import ConfigProblems
from infraflux.config.yaml_reader import read_yaml
# Everything is imported: what is measured from here on is the file.
limit = 200 * 1024 * 1024
def rss():
    return int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize()
assert rss() < limit
resource.setrlimit(resource.RLIMIT_CPU, (2, 2))
try:
    read_yaml(Path(sys.argv[1]), root=Path(sys.argv[1]).parent)
except ConfigProblems as error:
    print(error.problems[0])
# Not ru_maxrss: across fork and exec that begins with what the parent, all of pytest, had.
status = Path('/proc/self/status').read_text()
peak = int(next(line for line in status.splitlines() if line.startswith('VmHWM')).split()[1]) * 1024
assert peak < limit, peak
"""


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_with_little_time_and_memory(name, tmp_path):
    """A child of its own shows the peak memory; CPU time is bounded by the kernel."""
    content, message = BOMBS[name]
    file = tmp_path / "bomb.yaml"
    file.write_bytes(content)
    done = subprocess.run([sys.executable, "-c", CHILD, str(file)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if message is not None:
        assert message in done.stdout


def test_a_link_out_of_the_repository_is_not_followed(tmp_path):
    (tmp_path / "outside.yaml").write_text("a: b\n")
    root = tmp_path / "repository"
    root.mkdir()
    (root / "inside.yaml").symlink_to(tmp_path / "outside.yaml")
    with pytest.raises(ConfigProblems, match="is a link that leaves the repository"):
        read_yaml(root / "inside.yaml", root=root)


def test_a_fifo_or_directory_is_not_read(tmp_path):
    (tmp_path / "dir.yaml").mkdir()
    with pytest.raises(ConfigProblems, match="a readable regular file is expected"):
        read_yaml(tmp_path / "dir.yaml", root=tmp_path)


def test_every_mistake_of_a_file_is_told_at_once(tmp_path):
    (tmp_path / "a.yaml").write_text("a: 1\na: 2\nb: !x 3\nc: &y 4\nd: *y\n5: e\n")
    with pytest.raises(ConfigProblems) as caught:
        read_yaml(tmp_path / "a.yaml", root=tmp_path)
    assert [problem.line for problem in caught.value.problems] == [2, 3, 5, 6]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.30", 1.3), ("off", "off"), ("yes", "yes"), ("12:34:56", "12:34:56"), ("0o17", 15), ("0x1f", 31),
        ("017", 17), ("1_000", "1_000"), ("1e3", 1000.0), ("~", None), ("", None), ("Null", None), ("True", True),
        ("FALSE", False), ("v1.13.9", "v1.13.9"), ("-7", -7), ("+7", 7), ("-", "-"), (".5", 0.5),
        ("2030-01-31", "2030-01-31"),
    ],
)  # fmt: skip
def test_plain_scalars_have_the_types_of_yaml_1_2(text, value):
    assert (core_value(text), type(core_value(text))) == (value, type(value))


def test_quoted_scalars_are_text(tmp_path):
    file = Path(tmp_path / "a.yaml")
    file.write_text("a: \"1.30\"\nb: 'off'\nc: |\n  1\n")
    tree = read_yaml(file, root=tmp_path)
    values = [find(tree, (key,)) for key in "abc"]
    assert [value.data for value in values if value] == ["1.30", "off", "1\n"]
