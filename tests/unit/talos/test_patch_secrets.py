"""A secret that a patch refers to reaches talosctl's file, and nothing else: no argument, log, difference or error."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes.specs import make_spec

from infraflux.adapters.secrets.bundle import SecretsBundle
from infraflux.adapters.talos.documents import diff_configs
from infraflux.adapters.talos.talosctl import Talosctl
from infraflux.adapters.talos.workspace import TalosWorkspace
from infraflux.core.errors import Permanent
from infraflux.core.process import Completed
from infraflux.render import render_cluster
from infraflux.render.talos import render_patches

CANARY = 'canary-7f3a"\\x'
PATCHES = {
    "all": [
        {"name": "pull", "content": {"machine": {"registries": {"config": {"r": {"auth": {"password": "env:PULL"}}}}}}}
    ],
    "worker": [{"name": "mesh", "content": {"kind": "ExtensionServiceConfig", "environment": ["TS_KEY=env:PULL"]}}],
}


@dataclass
class Writer:
    """talosctl as far as it joins patches to a config: the last patch is the config."""

    refuses: str = ""
    argv: list[list[str]] = field(default_factory=list)
    modes: set[int] = field(default_factory=set)

    def __call__(self, argv: Sequence[str | Path], **_: Any) -> Completed:
        words = [str(word) for word in argv]
        self.argv.append(words)
        patches = [Path(word[1:]) for word in words if word.startswith("@")]
        self.modes |= {path.stat().st_mode & 0o777 for path in patches}
        target = Path(words[words.index("-o") + 1]) if "-o" in words else None
        if words[1] == "gen" and target:
            role = {"controlplane": "-control-plane", "worker": "-worker"}[words[words.index("--output-types") + 1]]
            wanted = ("--config-patch", f"--config-patch{role}")
            mine = [path for path in patches if words[words.index(f"@{path}") - 1] in wanted]
            target.write_text("\n---\n".join(path.read_text() for path in mine))
        elif target:
            target.write_text(Path(words[3]).read_text())
        text = f'refused: "password: {CANARY}"' if self.refuses == words[1] else ""
        return Completed(argv=tuple(words), returncode=1 if text else 0, stdout="", stderr=text, elapsed_s=0.1)


def workspace(tmp_path: Path, writer: Writer, learned: list[str]) -> TalosWorkspace:
    spec = make_spec(talos={"patches": PATCHES})
    made = TalosWorkspace(
        spec=spec,
        root=tmp_path,
        talosctl=Talosctl(binary=Path("talosctl"), cluster=spec.key, runner=writer),
        patches=render_patches(spec, root=tmp_path),
        learn=learned.extend,
    )
    made.__dict__["bundle"] = SecretsBundle("cluster: {id: x}\n")
    return made


def test_the_secret_is_in_the_config_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PULL", CANARY)
    writer, learned = Writer(), []
    made = workspace(tmp_path, writer, learned)
    configs = made.configs
    worker = configs.by_node["dev-1-worker-1"]
    assert f"password: {CANARY}" not in worker  # it is quoted as YAML needs it
    assert [change.seen for change in diff_configs("", worker, hidden=configs.secrets)].count("***") == 2
    assert CANARY in learned
    assert writer.modes == {0o600}
    assert [argv for argv in writer.argv if any("canary" in word for word in argv)] == []
    assert "canary" not in repr(configs) + repr(made.open_patches()) + repr(made)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and b"canary" in path.read_bytes()] == []


def test_renders_keep_the_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PULL", CANARY)
    files = render_cluster(make_spec(talos={"patches": PATCHES}), tmp_path)
    assert [name for name, content in files.items() if b"canary" in content] == []
    assert b"env:PULL" in files["talos/all.yaml"]


def test_a_missing_secret_is_named_before_talosctl_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PULL", raising=False)
    writer = Writer()
    with pytest.raises(Permanent, match="secret env:PULL: environment variable PULL is not set"):
        _ = workspace(tmp_path, writer, []).configs
    assert writer.argv == []


def test_what_talosctl_quotes_is_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PULL", CANARY)
    with pytest.raises(Permanent) as caught:
        _ = workspace(tmp_path, Writer(refuses="validate"), []).configs
    assert "canary" not in str(caught.value) + repr(caught.value.args)
    assert "password: ***" in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_secret_before_it_is_masked_too():
    wanted, seen = "a: {registry: new-one}\n", "a: {registry: old-one}\n"
    assert [str(one) for one in diff_configs(wanted, seen, hidden={"new-one"})] == ["v1alpha1.a.registry: *** -> ***"]
    assert [str(one) for one in diff_configs("b: 1\n", "b: 1\nauth: {password: old}\n")] == [
        "v1alpha1.auth.password: *** -> (absent)"
    ]
