"""Every command that a document or a message of ours names exists, with its options; every link leads somewhere."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import problems_of, words_after

from infraflux.config.environments import Environment, known_environments
from infraflux.service.register import names_of, written_out_file

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
SOURCES = sorted(path for name in ("src/infraflux", "flows", "tasks") for path in (ROOT / name).rglob("*.py"))
FENCE = re.compile(r"^```(?:console|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def commands_in(text: str) -> Iterator[str]:
    """Lines a person types (after `$ ` in console blocks, whole lines in sh blocks), and code within sentences."""
    for block in FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            yield line.removeprefix("$ ")
    yield from INLINE.findall(FENCE.sub("", text))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_of_a_document_exists(path: Path):
    calls = [words for line in commands_in(path.read_text()) for words in words_after("infraflux", line)]
    assert {" ".join(words): problems for words in calls if (problems := problems_of(words))} == {}


def test_the_documents_name_commands_at_all():
    calls = [w for path in DOCUMENTS for line in commands_in(path.read_text()) for w in words_after("infraflux", line)]
    assert len({words[0] for words in calls if words}) > 12


def hints_in(source: str) -> Iterator[str]:
    """Commands that messages tell people to type: strings that begin with one, and code in backticks."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            text = "".join(one.value if isinstance(one, ast.Constant) else "VALUE" for one in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        if text.startswith("infraflux "):
            yield from text.split(", or ")
        yield from INLINE.findall(text)


def test_every_command_that_a_message_or_docstring_names_exists():
    wrong = {}
    for path in SOURCES:
        for hint in hints_in(path.read_text()):
            for words in words_after("infraflux", hint):
                if words[:1] != ["VALUE"] and (problems := problems_of(words)):
                    wrong[f"{path.relative_to(ROOT)}: {hint[:80]}"] = problems
    assert wrong == {}


@pytest.mark.parametrize(
    ("line", "problems"),
    [
        ("infraflux config validate", []),
        ("uv run infraflux status --output json", []),
        ("infraflux deploy|destroy ENV/CLUSTER [--dry-run]", []),
        ("infraflux machines state ENV/CLUSTER [--restore | --forget]", []),
        ('"$(infraflux tools path talosctl)" version --client', []),
        ("infraflux tools list; infraflux config nonsense", ["config has no command ['nonsense']"]),
        ("infraflux nonsense", ["no command 'nonsense'"]),
        ("infraflux deploy|nonsense dev/dev-1", ["no command 'nonsense'"]),
        ("infraflux deploy dev/dev-1 --nonsense", ["deploy has no option --nonsense"]),
    ],
)
def test_what_is_wrong_is_found(line: str, problems: list[str]):
    calls = list(words_after("infraflux", line))
    assert calls
    assert [one for words in calls for one in problems_of(words)] == problems


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def deployments() -> set[str]:
    own = [*known_environments(ROOT), Environment("home", None, ("home-1",))]
    return set(names_of(written_out_file(ROOT, own)))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_target_and_deployment_of_a_document_exists(path: Path):
    for line in commands_in(path.read_text()):
        for words in words_after("make", line):
            assert {word for word in words if re.fullmatch(r"[a-z-]+", word)} <= make_targets(), line
        for words in words_after("prefect", line):
            if words[:2] == ["deployment", "run"] and "<" not in line:
                assert words[2] in deployments(), line


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_leads_somewhere(path: Path):
    links = [link for link in LINK.findall(path.read_text()) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []
