"""`infraflux init` on a real terminal, against a site like somebody's: from an address to a valid cluster."""

import os
import re
import sys

import pexpect
import pytest

from infraflux.adapters.proxmox.client import ProxmoxReader
from infraflux.adapters.proxmox.observe import observe
from infraflux.adapters.proxmox.preflight import judge_preflight
from infraflux.cli.main import run
from infraflux.config.load import Fleet
from infraflux.operations.machines import proxmox_access

pytestmark = [pytest.mark.lab]

PATIENCE_S = 60
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A person at a terminal, in the project."""

    def __init__(self, site, *words):
        environ = {**os.environ, "TERM": "dumb", "NO_COLOR": "1"}
        argv = ["-m", "infraflux.cli.main", *words]
        self.child = pexpect.spawn(
            sys.executable, argv, cwd=str(site.project.root), env=environ, encoding="utf-8", timeout=PATIENCE_S
        )
        self.child.setwinsize(50, 400)

    def answer(self, question, text):
        """Wait for a question, answer it; what was said before it."""
        self.child.expect(question)
        said = self.child.before
        self.child.sendline(text)
        return ESCAPES.sub("", said)

    def end(self):
        """Everything that was said up to the end, and the exit code."""
        self.child.expect(pexpect.EOF)
        said = ESCAPES.sub("", self.child.before)
        self.child.close()
        return said, self.child.exitstatus


def commands_in(text):
    return [line.strip() for line in text.splitlines() if line.strip().startswith("pveum ")]


@pytest.fixture(scope="module")
def first(site):
    """The dialogue, once: what was said last, and the commands that were to be pasted."""
    terminal = Terminal(site, "init", "home")
    terminal.answer("Proxmox API", site.endpoint)
    commands = commands_in(terminal.answer("Token id", ""))
    secret = site.paste(commands)
    terminal.answer("Its secret", secret)
    terminal.answer("File with the CA", str(site.ca_file))
    terminal.answer("Git URL", "https://git.example.net/me/infraflux.git")
    terminal.answer("DNS name", "home.example.net")
    shown = terminal.answer("Write it", "y")
    said, code = terminal.end()
    assert code == 0, said
    assert secret not in shown + said
    return shown, said


def test_the_proposal_is_shown_with_its_reasons(first):
    shown, _said = first
    assert re.search(r"hosts +alpha, beta, gamma +every host that is online", shown)
    assert re.search(r"disks +nvme +a zfspool on every host", shown)
    assert re.search(r"network +vmbr0", shown)


def test_what_it_wrote_is_valid_and_alone(site, first, monkeypatch):
    monkeypatch.chdir(site.project.root)
    assert run(["config", "validate", "--no-talos"]) == 0
    fleet = Fleet.load(site.project.root)
    assert list(fleet.clusters) == ["home/home-1"]
    spec = fleet.cluster("home/home-1")
    assert spec.proxmox.endpoint == site.endpoint
    assert (len(spec.control_planes), len(spec.workers)) == (3, 3)
    token = site.project.root / ".infraflux/secrets/home.token"
    assert token.stat().st_mode & 0o777 == 0o600


def test_the_last_line_is_the_next_command(first):
    assert first[1].rstrip().splitlines()[-1].endswith("next: infraflux up")


def test_again_changes_nothing(site, first):
    before = {path: path.read_bytes() for path in (site.project.root / "config").rglob("*") if path.is_file()}
    terminal = Terminal(site, "init", "home")
    said, code = terminal.end()
    assert (code, "nothing was changed" in said) == (0, True)
    assert {path: path.read_bytes() for path in before} == before


def preflight(site):
    spec = Fleet.load(site.project.root).cluster("home/home-1")
    access = proxmox_access(spec, root=site.project.root)
    return [one.message for one in judge_preflight(spec, observe(ProxmoxReader(access), spec))]


def test_the_commands_it_ends_with_are_what_the_preflight_wants(site, first, monkeypatch, capsys):
    """And `proxmox token` prints the same ones."""
    assert any(" lacks " in message for message in preflight(site))
    commands = commands_in(first[1])
    monkeypatch.chdir(site.project.root)
    assert run(["proxmox", "token", "home", "--rights-only"]) == 0
    assert capsys.readouterr().out.splitlines() == commands
    site.paste(commands)
    assert preflight(site) == []


def test_without_a_terminal_what_is_missing_is_named(site, first, monkeypatch, capsys):
    monkeypatch.chdir(site.project.root)
    assert run(["init", "attic", "--yes"]) == 1
    assert "--endpoint is needed" in capsys.readouterr().err
    assert run(["init", "attic", "--yes", "--endpoint", site.endpoint]) == 1
    assert "does not hold the token's secret" in capsys.readouterr().err


def test_a_file_answers_everything(site, first, monkeypatch, capsys):
    root = site.project.root
    monkeypatch.chdir(root)
    answers = root / "answers.yaml"
    answers.write_text(
        f"endpoint: {site.endpoint}\ntoken_id: infraflux@pve!home\ntoken_file: .infraflux/secrets/home.token\n"
        f"ca_file: {site.ca_file}\nsize: small\n"
    )
    assert run(["init", "attic", "--yes", "--answers", str(answers)]) == 0, capsys.readouterr().err
    spec = Fleet.load(root).cluster("attic/attic-1")
    home = Fleet.load(root).cluster("home/home-1")
    assert spec.size == "small"
    assert not {node.address for node in spec.nodes} & {node.address for node in home.nodes}
    assert not {node.vm_id for node in spec.nodes} & {node.vm_id for node in home.nodes}
    answers.write_text("endpiont: x\n")
    assert run(["init", "shed", "--yes", "--answers", str(answers)]) == 1
    assert "endpiont" in capsys.readouterr().err
