"""Every Terraform directory is formatted, valid and passes its own `terraform test` (mock provider, no Proxmox)."""

import json
import shutil
from pathlib import Path

import pytest

from infraflux.adapters.terraform.cli_config import write_cli_config
from infraflux.adapters.tools.locate import locate, provider_mirror
from infraflux.core.process import Completed, run

ROOT = Path(__file__).parents[2] / "terraform"
STACKS = ("globals", "cluster")
DIRECTORIES = (*STACKS, *sorted(f"modules/{path.name}" for path in (ROOT / "modules").iterdir()))
MAX_LINES = 150
MAX_VARIABLES = 30


def terraform(tree: Path, *arguments: str, directory: str = ".") -> Completed:
    env = {"TF_CLI_CONFIG_FILE": str(tree.parent / "cli.tfrc"), "CHECKPOINT_DISABLE": "1"}
    return run([locate("terraform"), f"-chdir={tree / directory}", *arguments], deadline_s=300, env=env)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree: `init` writes into it."""
    target = tmp_path_factory.mktemp("terraform") / "terraform"
    shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(".terraform", ".terraform.lock.hcl"))
    write_cli_config(target.parent / "cli.tfrc", mirror=provider_mirror())
    return target


@pytest.mark.tools
def test_everything_is_formatted(tree: Path) -> None:
    terraform(tree, "fmt", "-recursive", "-check", "-diff").require()


@pytest.mark.tools
@pytest.mark.parametrize("directory", DIRECTORIES)
def test_directory_is_valid_and_passes_its_own_tests(tree: Path, directory: str) -> None:
    terraform(tree, "init", "-no-color", "-input=false", directory=directory).require()
    terraform(tree, "validate", "-no-color", directory=directory).require()
    if not list((tree / directory / "tests").glob("*.tftest.hcl")):
        pytest.fail(f"terraform/{directory} has no tests/*.tftest.hcl")
    ended = terraform(tree, "test", "-json", directory=directory)
    summary = [json.loads(line) for line in ended.stdout.splitlines()][-1]["test_summary"]
    ended.require()
    assert summary["passed"] > 0
    assert summary["skipped"] == 0


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.tf")), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_directory_has_the_usual_files(directory: str) -> None:
    present = {path.name for path in (ROOT / directory).iterdir()}
    assert {"main.tf", "variables.tf", "outputs.tf", "versions.tf", "README.md"} <= present


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_every_variable_is_typed_and_described(directory: str) -> None:
    blocks = ("\n" + (ROOT / directory / "variables.tf").read_text()).split('\nvariable "')[1:]
    assert len(blocks) <= MAX_VARIABLES
    for block in blocks:
        name = block.split('"', 1)[0]
        assert "\n  type" in block, name
        assert "\n  description = " in block, name


def test_nothing_runs_programs_or_uses_ssh() -> None:
    for path in ROOT.rglob("*.tf"):
        text = path.read_text()
        for forbidden in ("provisioner ", "local-exec", "remote-exec", 'data "external"', "ssh {", "_file_id "):
            assert forbidden not in text, f"{path.name}: {forbidden}"


IMPURE = ("timestamp(", "uuid(", "bcrypt(", "\ndata ", "\nephemeral ", "terraform_remote_state", "pathexpand(", "file(")
OWN_FILE = 'file("${path.module}/'
"""A file of the module itself is part of the configuration, and of the digest a drift look compares."""


def test_a_plan_follows_from_nothing_that_changes_by_itself() -> None:
    """A drift look spares the plan where all that it follows from is the same (docs/adr/0012)."""
    for path in ROOT.rglob("*.tf"):
        text = path.read_text().replace(OWN_FILE, "")
        for forbidden in IMPURE:
            assert forbidden not in text, f"{path.name}: {forbidden.strip()}"
