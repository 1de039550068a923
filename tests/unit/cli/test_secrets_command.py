"""`infraflux secrets` and the credentials of `infraflux cluster`, with the real talosctl on a project of its own."""

import shutil
from pathlib import Path

import pytest
from pyrage import x25519

from infraflux.cli.main import run

pytestmark = pytest.mark.tools

ROOT = Path(__file__).parents[3]
KEY = "dev/dev-1"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for part in ("config", "clusters"):
        shutil.copytree(ROOT / part, tmp_path / part)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bundle_of(project: Path) -> Path:
    return project / ".infraflux" / "secrets" / "dev" / "dev-1.talos.age"


def said(capsys: pytest.CaptureFixture[str]) -> str:
    streams = capsys.readouterr()
    return streams.out + streams.err


def test_init_makes_identity_and_bundle_once(project: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["secrets", "init", KEY]) == 0
    assert "made the age identity" in said(capsys)
    before = bundle_of(project).read_bytes()
    assert run(["secrets", "init", KEY]) == 0
    assert said(capsys).count("nothing to do") == 2
    assert bundle_of(project).read_bytes() == before


def test_show_recipients_prints_public_keys_only(project: Path, capsys: pytest.CaptureFixture[str]):
    run(["secrets", "init", KEY])
    capsys.readouterr()
    assert run(["secrets", "show-recipients", KEY]) == 0
    text = said(capsys).strip()
    assert text.startswith("age1")
    assert "AGE-SECRET-KEY" not in text


def test_rotate_lets_a_new_recipient_in_and_keeps_a_backup(project: Path, capsys: pytest.CaptureFixture[str]):
    run(["secrets", "init", KEY])
    old = (project / ".infraflux" / "age" / "identity.txt").read_text()
    newcomer = x25519.Identity.generate()
    overlay = project / "clusters" / "overlays" / "dev" / "dev-1.yaml"
    overlay.write_text(f"{overlay.read_text()}secrets:\n  recipients: [{newcomer.to_public()}]\n")
    assert run(["secrets", "rotate", KEY]) == 0
    assert len(list(bundle_of(project).parent.glob("*.bak"))) == 1
    assert run(["secrets", "export", KEY, "-o", "plain.yaml"]) == 1, "the old identity is no recipient any more"
    assert "cannot be decrypted" in said(capsys)
    (project / ".infraflux" / "age" / "identity.txt").write_text(str(newcomer))
    assert run(["secrets", "export", KEY, "-o", "plain.yaml"]) == 0
    assert old not in said(capsys)


def test_export_writes_a_private_new_file_and_prints_no_value(project: Path, capsys: pytest.CaptureFixture[str]):
    run(["secrets", "init", KEY])
    capsys.readouterr()
    assert run(["secrets", "export", KEY, "-o", "plain.yaml"]) == 0
    path = project / "plain.yaml"
    assert path.stat().st_mode & 0o777 == 0o600
    token = next(line.split()[-1] for line in path.read_text().splitlines() if "token" in line)
    assert token not in said(capsys)


@pytest.mark.parametrize("command", [["secrets", "export", KEY, "-o", "x"], ["cluster", "talosconfig", KEY]])
def test_without_a_bundle_the_command_to_make_it_is_named(
    project: Path, capsys: pytest.CaptureFixture[str], command: list[str]
):
    (project / ".infraflux" / "age").mkdir(parents=True)
    (project / ".infraflux" / "age" / "identity.txt").write_text(str(x25519.Identity.generate()))
    assert run(command) == 1
    assert f"infraflux secrets init {KEY}" in said(capsys)


def test_missing_identity_is_named(project: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["secrets", "show-recipients", KEY]) == 1
    assert "file:.infraflux/age/identity.txt" in said(capsys)


def test_talosconfig_is_written_once_and_private(project: Path, capsys: pytest.CaptureFixture[str]):
    run(["secrets", "init", KEY])
    assert run(["cluster", "talosconfig", KEY]) == 0
    path = project / ".infraflux" / "clusters" / "dev" / "dev-1" / "talosconfig"
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    capsys.readouterr()
    assert run(["cluster", "talosconfig", KEY]) == 0
    assert "nothing to do" in said(capsys)
    assert path.read_bytes() == before


def test_lost_bundle_of_a_bootstrapped_cluster_is_never_made_anew(project: Path, capsys: pytest.CaptureFixture[str]):
    run(["secrets", "init", KEY])
    bundle_of(project).unlink()
    marker = project / ".infraflux" / "clusters" / "dev" / "dev-1" / "bootstrap.json"
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_text('{"node": "dev-1-cp-1", "cluster_id": "x", "confirmed": true}')
    assert run(["secrets", "init", KEY]) == 1
    assert "restore the bundle from its backup" in said(capsys)
    assert not bundle_of(project).exists()
