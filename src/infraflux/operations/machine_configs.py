"""Talos is asked before anything is touched: every node's machine config is generated and validated by talosctl.

The secrets in these configs are made up for the check: whether Talos takes a config does not depend on them, and no
bundle has to be opened. Everything lives in a private directory that is gone afterwards; what is kept is digests of
configs that were valid, so that a second check asks only about what changed.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from infraflux.adapters.talos.configs import PatchSet, base_command, generate_secrets, node_commands
from infraflux.adapters.talos.patch_secrets import with_stand_ins
from infraflux.adapters.talos.talosctl import LOCAL_DEADLINE_S, Runner, Talosctl
from infraflux.adapters.tools.locate import Source, this_machine
from infraflux.adapters.tools.places import Places
from infraflux.config.load import Examined
from infraflux.config.models import ClusterSpec, Node, Role
from infraflux.config.problems import ConfigProblems, Problem, dotted
from infraflux.config.tree import Value
from infraflux.core import process
from infraflux.core.files import write_private
from infraflux.core.workdir import private_workdir
from infraflux.operations.patch_blame import Asked, PatchBlame, own_patches, with_patches
from infraflux.operations.verdicts import Verdicts, digest_of
from infraflux.render.talos import render_patches

LEFT_OUT = "Talos was not asked (--no-talos): what it refuses shows when the machines exist"


@dataclass(frozen=True, kw_only=True)
class TalosCheck:
    """What Talos has against the machine configs."""

    problems: tuple[Problem, ...] = ()
    note: str = ""
    """Why Talos was not asked; empty where it was."""
    asked: int = 0
    """How many nodes it was asked about: those whose answer was not known."""


def check_examined(
    examined: Examined, keys: Iterable[str], *, root: Path, wanted: bool = True, runner: Runner = process.run
) -> TalosCheck:
    """Ask Talos about these clusters as far as they are readable, without the patches that have a problem already."""
    fleet = examined.fleet
    specs = [_sound(fleet.clusters[key], examined.by_cluster[key]) for key in keys if key in fleet.clusters]
    return check_machine_configs(specs, root, trees=fleet.trees, wanted=wanted, runner=runner)


def require_valid(
    spec: ClusterSpec, *, root: Path, tree: Value, log: Callable[[str], None] = lambda _line: None
) -> None:
    """Raises ConfigProblems with everything that Talos refuses of a cluster's machine configs."""
    check = check_machine_configs([spec], root, trees={spec.key: tree})
    if check.note:
        log(check.note)
    if check.problems:
        raise ConfigProblems(check.problems, cluster=spec.key)


def check_machine_configs(
    specs: Sequence[ClusterSpec],
    root: Path,
    *,
    trees: Mapping[str, Value],
    wanted: bool = True,
    runner: Runner = process.run,
) -> TalosCheck:
    """Every node's machine config by the real talosctl, in both modes, side by side.

    `trees` says where a patch is written, by cluster.
    """
    if not wanted:
        return TalosCheck(note=LEFT_OUT)
    found = this_machine().find("talosctl")
    if found.path is None or found.source is Source.MISSING:
        missing = f"talosctl {found.version} is not installed; `infraflux tools install talosctl` brings it"
        return TalosCheck(note=f"Talos was not asked: {missing}")
    cache = Places.of_this_machine().cache
    verdicts = Verdicts(cache / "talos-verdicts")
    talosctl = Talosctl(binary=found.path, cluster="", runner=runner)
    asked = [one for spec in specs for one in _nodes(spec, root, program=f"{found.path} {found.version}")]
    new = [one for one in asked if one.digest not in verdicts]
    if not new:
        return TalosCheck()
    with private_workdir(_writable(cache)) as work:
        check = _Check(talosctl=talosctl, root=root, trees=trees, work=work)
        problems = check.ask(new)
    verdicts.add(check.valid)
    return TalosCheck(problems=tuple(sorted(set(problems))), asked=len(new))


def _writable(cache: Path) -> Path:
    """Where the private directory is made: the cache, or the system's own place where that is read-only."""
    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
    usable = os.access(cache, os.W_OK)
    return cache / "talos-check" if usable else Path(tempfile.gettempdir()) / f"infraflux-{os.getuid()}"


def _sound(spec: ClusterSpec, problems: Iterable[Problem]) -> ClusterSpec:
    """The cluster without the patches that cannot be read anyway: one mistake, one message."""
    blamed = {problem.path for problem in problems}
    good = [one for one in own_patches(spec) if not any(path.startswith(dotted(one.path)) for path in blamed)]
    return spec if len(good) == len(own_patches(spec)) else with_patches(spec, good)


def _nodes(spec: ClusterSpec, root: Path, *, program: str) -> list[Asked]:
    patches = with_stand_ins(render_patches(spec, root=root))
    return [
        Asked(spec=spec, node=node, patches=patches, digest=_digest(spec, node, patches, program))
        for node in spec.nodes
    ]


def _digest(spec: ClusterSpec, node: Node, patches: PatchSet, program: str) -> str:
    shared = (*patches.all, "--", *patches.for_role(node.role), "--", *patches.node[node.name])
    facts = (spec.name, spec.endpoint, spec.versions.talos, spec.versions.kubernetes, node.name, node.role.value)
    return digest_of(program, *facts, *shared)


class _Check:
    """One run over many nodes."""

    def __init__(self, *, talosctl: Talosctl, root: Path, trees: Mapping[str, Value], work: Path) -> None:
        self.talosctl = talosctl
        self.trees = trees
        self.work = work
        self.root = root
        self.valid: list[str] = []
        self._secrets: dict[str, Path] = {}
        self._blame = PatchBlame(root=root, trees=trees, refusal=self.refusal, talosctl=talosctl, work=work)

    def ask(self, nodes: Sequence[Asked]) -> list[Problem]:
        """What Talos has against these nodes; the valid ones are in `valid` afterwards."""
        for version in sorted({one.spec.versions.talos for one in nodes}):
            text = generate_secrets(self.talosctl, talos_version=version, workdir=self.work)
            self._secrets[version] = write_private(self.work / version / "secrets.yaml", text)
        groups: dict[tuple[str, Role], list[Asked]] = {}
        for one in nodes:
            groups.setdefault((one.spec.key, one.node.role), []).append(one)
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            refused = [one for part in pool.map(self._group, groups.values()) for one in part]
        return [problem for one in refused for problem in self._blame.problems(one)]

    def _group(self, nodes: Sequence[Asked]) -> list[Asked]:
        """The refused ones of the nodes of one cluster and role: what they have in common is generated once."""
        work = Path(tempfile.mkdtemp(dir=self.work))
        if self._base(nodes[0], work):
            return list(nodes)
        refused = []
        for one in nodes:
            if self._node(one, work):
                refused.append(one)
            else:
                self.valid.append(one.digest)
        return refused

    def refusal(self, asked: Asked) -> str:
        """Talos' words against one node's machine config; empty where it is valid."""
        work = Path(tempfile.mkdtemp(dir=self.work))
        return self._base(asked, work) or self._node(asked, work)

    def _base(self, one: Asked, work: Path) -> str:
        secrets = self._secrets[one.spec.versions.talos]
        return self._run(base_command(one.spec, role=one.node.role, secrets=secrets, patches=one.patches, work=work))

    def _node(self, one: Asked, work: Path) -> str:
        return next(filter(None, map(self._run, node_commands(one.node, patches=one.patches, work=work))), "")

    def _run(self, words: Sequence[str | Path]) -> str:
        done = self.talosctl.runner([self.talosctl.binary, *words], deadline_s=LOCAL_DEADLINE_S)
        return "" if done.returncode == 0 else done.stderr.strip() or done.stdout.strip() or "no reason given"
