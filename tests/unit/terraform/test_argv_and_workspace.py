"""Command lines carry no values, working copies carry exactly the configuration."""

import re
from pathlib import Path

import pytest

from infraflux.adapters.terraform.argv import FLAG, ArgvBuilder
from infraflux.adapters.terraform.events import EventKind, parse_event
from infraflux.adapters.terraform.workspace import Copy, Place, Tool, prepare
from infraflux.core.errors import Permanent

BUILDER = ArgvBuilder(binary=Path("/bin/terraform"), directory=Path("/work"))


def test_options_become_words() -> None:
    words = BUILDER.argv("plan", "x", input=False, json=FLAG, lock_timeout="5s", destroy=None)
    assert words == ["/bin/terraform", "-chdir=/work", "plan", "-input=false", "-json", "-lock-timeout=5s", "x"]


def test_values_never_get_onto_the_command_line() -> None:
    with pytest.raises(ValueError, match="takes a file"):
        BUILDER.argv("init", backend_config={"password": "secret"})


def test_only_known_commands_and_no_running() -> None:
    with pytest.raises(AttributeError):
        BUILDER.frobnicate()
    with pytest.raises(NotImplementedError):
        BUILDER.apply()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    for name in (
        "modules/proxmox-vm/main.tf",
        "modules/proxmox-vm/read-by-main.sh",
        "modules/proxmox-vm/README.md",
        "modules/proxmox-vm/tests/x.tftest.hcl",
        "cluster/main.tf",
        "cluster/terraform.tfstate",
        "globals/main.tf",
    ):
        path = tmp_path / "terraform" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    (tmp_path / "terraform" / "cluster" / ".terraform").mkdir()
    (tmp_path / "terraform" / "cluster" / ".terraform" / "x.tf").write_text("# cache\n")
    return Place(source=tmp_path / "terraform", state=tmp_path / "state", environment="dev", name="dev-1")


def test_a_copy_is_made_once_per_content(place: Place) -> None:
    made: list[Copy] = []
    tool = Tool(binary=Path("/bin/true"))
    first = prepare(place, tool, init=made.append)
    assert prepare(place, tool, init=made.append) == first
    assert len(made) == 1
    (place.source / "cluster" / "main.tf").write_text("# changed\n")
    assert prepare(place, tool, init=made.append) != first
    assert len(made) == 2


def test_a_copy_holds_the_stack_and_the_modules_only(place: Place) -> None:
    copy = prepare(place, Tool(binary=Path("/bin/true")), init=lambda _: None)
    tree = copy.directory.parent
    assert {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()} == {
        "modules/proxmox-vm/main.tf",
        "modules/proxmox-vm/read-by-main.sh",
        "cluster/main.tf",
        "cluster/backend.tf",
        "cluster/backend.conf",
    }


SHIPPED = Path(__file__).parents[3] / "terraform"
READ = re.compile(r'(?:file|templatefile)\("\$\{path\.module\}/([^"]+)"')


@pytest.mark.parametrize("stack", ["cluster", "globals"])
def test_a_copy_of_the_shipped_configuration_has_every_file_that_a_module_reads(stack: str, tmp_path: Path) -> None:
    place = Place(source=SHIPPED, state=tmp_path, environment="dev", name="dev-1" if stack == "cluster" else stack)
    tree = prepare(place, Tool(binary=Path("/bin/true")), init=lambda _: None).directory.parent
    modules = list((tree / "modules").rglob("*.tf"))
    assert modules
    wanted = {path.parent / name for path in modules for name in READ.findall(path.read_text())}
    assert {path for path in wanted if not path.exists()} == set()


def test_a_failed_init_leaves_no_copy(place: Place) -> None:
    def fail(_: Copy) -> None:
        raise Permanent("no provider")

    with pytest.raises(Permanent):
        prepare(place, Tool(binary=Path("/bin/true")), init=fail)
    assert list((place.state / "work").iterdir()) == []


@pytest.mark.parametrize(
    ("block", "settings"),
    [
        ('backend "local" {}', 'path = "{state}/terraform.tfstate"'),
        ('# a comment\nbackend "pg" {}', 'schema_name = "infraflux_dev_dev_1"'),
        ('backend "s3" {\n  bucket = "b"\n}', 'key = "dev/dev-1/terraform.tfstate"'),
    ],
    ids=["local", "pg", "s3"],
)
def test_each_stack_has_its_own_state_in_a_backend(place: Place, block: str, settings: str) -> None:
    path = place.source / "environments" / "dev" / "backend.hcl"
    path.parent.mkdir(parents=True)
    path.write_text(block)
    copy = prepare(place, Tool(binary=Path("/bin/true")), init=lambda _: None)
    assert (copy.directory / "backend.conf").read_text().strip() == settings.replace("{state}", str(place.state))
    assert block in (copy.directory / "backend.tf").read_text()


@pytest.mark.parametrize("block", ["", 'backend "consul" {}'], ids=["none", "unknown"])
def test_a_backend_nobody_knows_is_refused(place: Place, block: str) -> None:
    path = place.source / "environments" / "dev" / "backend.hcl"
    path.parent.mkdir(parents=True)
    path.write_text(block)
    with pytest.raises(Permanent, match="backend"):
        prepare(place, Tool(binary=Path("/bin/true")), init=lambda _: None)


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        ("not json", EventKind.OTHER, "not json"),
        ("[1]", EventKind.OTHER, "[1]"),
        ('{"type": "version", "@message": "v"}', EventKind.OTHER, "v"),
        (
            '{"type": "apply_start", "@message": "creating", "hook": {"action": "create"}}',
            EventKind.STARTED,
            "creating",
        ),
    ],
    ids=["text", "no-object", "unknown-type", "apply-start"],
)
def test_events(line: str, kind: EventKind, message: str) -> None:
    event = parse_event(line)
    assert (event.kind, event.message) == (kind, message)
