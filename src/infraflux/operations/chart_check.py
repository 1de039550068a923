"""Do the platform's values fit its charts? Every component and overlay, and what each cluster adds: what Terraform
computes for it and what it says of its own."""

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from infraflux.adapters.charts import ChartArchive, KeyPath, Renderer, unknown_keys
from infraflux.adapters.helm import Run, merge_maps, merge_values
from infraflux.adapters.kubernetes.manifests import read_manifests, repeated_entries
from infraflux.config.models import ClusterSpec
from infraflux.config.problems import dotted
from infraflux.config.suggest import nearest
from infraflux.core.process import run as run_process
from infraflux.operations.installer import read_component

KUSTOMIZE_DEADLINE_S = 60.0


@dataclass(frozen=True, kw_only=True, order=True)
class ChartProblem:
    """One thing that does not fit."""

    component: str
    where: str
    """`base`, `overlay dev`, `cluster dev/dev-1`, or the file that says it."""
    wrong: str

    def __str__(self) -> str:
        return f"{self.component}: {self.where}: {self.wrong}"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One set of values that some cluster gets."""

    component: str
    where: str
    version: str
    files: tuple[Path, ...]
    computed: Mapping[str, Any] = field(default_factory=dict)
    """What the Terraform modules add for a cluster."""
    own: Mapping[str, Any] = field(default_factory=dict)
    """What a cluster says of its own; the last word."""
    beside: bool = False
    """Whether to look at the objects beside the chart too; another case of the component has, where not."""
    environment: str = ""
    """Whose overlay it is; empty: an environment that has none."""

    @property
    def values(self) -> dict[str, Any]:
        return merge_maps(merge_maps(merge_values(self.files), self.computed), self.own)


Computed = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Values by component by cluster."""


def cases(tree: Path, specs: Sequence[ClusterSpec], *, computed: Computed | None = None) -> list[Case]:
    """Every component without and with each overlay, and for each cluster that has it on and adds something."""
    found = []
    for home in sorted(path.parent for path in tree.glob("infrastructure/*/component.yaml")):
        entry = read_component(tree, home.name)
        for environment in ("", *sorted(path.name for path in home.glob("overlays/*"))):
            found.append(
                Case(
                    component=home.name,
                    where=f"overlay {environment}" if environment else "base",
                    version=entry["version"],
                    files=values_of(home, environment),
                    beside=True,
                    environment=environment,
                )
            )
        found += _of_clusters(home, entry["version"], specs, computed=computed or {})
    return found


def _of_clusters(home: Path, version: str, specs: Sequence[ClusterSpec], *, computed: Computed) -> Iterator[Case]:
    for spec in specs:
        wanted = spec.platform.component(home.name)
        added = computed.get(spec.key, {}).get(home.name, {})
        if wanted and wanted.enabled and (added or wanted.values or wanted.version != version):
            yield Case(
                component=home.name,
                where=f"cluster {spec.key}",
                version=wanted.version,
                files=values_of(home, spec.environment),
                computed=added,
                own=wanted.values,
            )


def values_of(home: Path, environment: str) -> tuple[Path, ...]:
    """The value files of a component in an environment, the last word last."""
    files = (home / "base" / "values.yaml", home / "overlays" / environment / "values.yaml")
    return tuple(path for path in files if path.exists())


@contextmanager
def kustomization_of(home: Path, environment: str) -> Iterator[Path]:
    """A directory that builds the objects beside a component's chart, as Argo CD puts them together.

    Argo CD adds the environment's overlay to base as a component, where it has a kustomization.yaml:
    https://argo-cd.readthedocs.io/en/stable/user-guide/kustomize/#components
    """
    overlay = Path("overlays") / environment
    added = bool(environment) and (home / overlay / "kustomization.yaml").is_file()
    with TemporaryDirectory(prefix="infraflux-kustomize-") as name:
        there = Path(name)
        for part in (Path("base"), overlay) if added else (Path("base"),):
            shutil.copytree(home / part, there / part)
        whole = {"kind": "Kustomization", "resources": ["base"], "components": [str(overlay)] if added else []}
        (there / "kustomization.yaml").write_text(json.dumps(whole))
        yield there


Suspect = tuple[str, Path | str, KeyPath]
"""Component, who says it, and the key that no chart is known to read."""


@dataclass(frozen=True, kw_only=True)
class ChartCheck:
    """The project's values against archives; `note` is told of each case once it is looked at."""

    tree: Path
    archives: Mapping[tuple[str, str], ChartArchive]
    renderer: Renderer
    kustomize: Path
    run: Run = run_process
    note: Callable[[Case, int], None] = field(default=lambda _case, _problems: None, repr=False)

    def examine(self, todo: Sequence[Case]) -> list[ChartProblem]:
        """Every problem of every case, sorted; what several cases share is told once."""
        found: set[ChartProblem] = set()
        suspects: dict[Suspect, list[bool]] = defaultdict(list)
        for case in todo:
            problems = list(self._look_at(case, suspects))
            found.update(problems)
            self.note(case, len(problems))
        return sorted(found | set(self._dead(suspects)))

    def _look_at(self, case: Case, suspects: dict[Suspect, list[bool]]) -> Iterator[ChartProblem]:
        entry = read_component(self.tree, case.component)
        chart = self.archives.get((entry["chart"], case.version))
        if chart is None:
            yield self._missing(entry["chart"], case)
            return
        known = {"release": entry["release"], "namespace": entry["namespace"]}
        rendered = self.renderer.render(chart, values=[*case.files, case.computed, case.own], **known)
        if rendered.error:
            yield ChartProblem(component=case.component, where=case.where, wrong=rendered.error)
            return
        objects = read_manifests(rendered.text)
        for wrong in _repeated(objects):
            yield ChartProblem(component=case.component, where=case.where, wrong=wrong)
        yield from self._beside(case, objects)
        unknown = unknown_keys(case.values, chart)
        dead = set(self.renderer.without_effect(chart, values=case.values, keys=unknown, **known))
        for key in unknown:
            suspects[case.component, _blamed(case, key), key].append(key in dead)

    def _beside(self, case: Case, rendered: Sequence[Mapping[str, Any]]) -> Iterator[ChartProblem]:
        """The objects beside the chart: they build, and none of them comes from the chart as well."""
        if not case.beside:
            return
        with kustomization_of(self.tree / "infrastructure" / case.component, case.environment) as directory:
            done = self.run([self.kustomize, "build", directory], deadline_s=KUSTOMIZE_DEADLINE_S)
        if done.returncode:
            yield ChartProblem(component=case.component, where=case.where, wrong=done.stderr.strip())
            return
        twice = _identities(rendered) & _identities(read_manifests(done.stdout))
        for kind, namespace, name in sorted(twice):
            what = f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
            yield ChartProblem(component=case.component, where=case.where, wrong=f"the chart makes {what} as well")

    def _missing(self, name: str, case: Case) -> ChartProblem:
        there = sorted(version for chart, version in self.archives if chart == name)
        others = f"; there is {', '.join(there)}" if there else ""
        return ChartProblem(
            component=case.component, where=case.where, wrong=f"no archive of chart {name} {case.version}{others}"
        )

    def _dead(self, suspects: Mapping[Suspect, list[bool]]) -> Iterator[ChartProblem]:
        """Keys without effect in every case that has them: one that a switched-off part would read is none."""
        for (component, blamed, key), verdicts in suspects.items():
            if all(verdicts):
                where = str(blamed.relative_to(self.tree.parent)) if isinstance(blamed, Path) else blamed
                yield ChartProblem(component=component, where=where, wrong=self._told(component, key))

    def _told(self, component: str, key: KeyPath) -> str:
        name = read_component(self.tree, component)["chart"]
        level: Any = next((one.defaults for (chart, _), one in self.archives.items() if chart == name), {})
        for part in key[:-1]:
            level = level.get(part) if isinstance(level, dict) else None
        near = nearest(key[-1], level) if isinstance(level, dict) else None
        hint = f"; did you mean {near}?" if near else ""
        return f"{dotted(key)}: chart {name} has no such value, it renders the same without it{hint}"


def _blamed(case: Case, key: KeyPath) -> Path | str:
    """Whoever says it last."""
    if _has(case.own, key):
        return "the cluster's own values"
    if _has(case.computed, key):
        return "what Terraform computes"
    return next(path for path in reversed(case.files) if _has(merge_values([path]), key))


def _has(values: object, key: KeyPath) -> bool:
    for part in key:
        if not isinstance(values, Mapping) or part not in values:
            return False
        values = values[part]
    return True


def _repeated(objects: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in objects:
        for entry in repeated_entries(one):
            yield f"{one['kind']} {one['metadata'].get('name', '')} has {entry} twice, which the API server refuses"


def _identities(objects: Sequence[Mapping[str, Any]]) -> set[tuple[str, str, str]]:
    return {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"])
        for one in objects
        if "name" in one["metadata"]
    }
