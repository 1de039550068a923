"""Chart archives in a directory, and whether values fit them: helm's own verdict, and keys that a chart never reads.

helm refuses a value only where the chart's schema forbids it, and most charts have none or a lax one: a misspelt key is
then silently without effect. So a key that neither the chart's default values nor its schema know is taken away, and
where the chart renders the same without it, it is reported.
"""

import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from infraflux.adapters.helm import Run, merge_maps, values_text
from infraflux.config.foreign_yaml import parse_documents
from infraflux.config.problems import ConfigProblems
from infraflux.config.scalars import helm_value
from infraflux.config.tree import plain
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.process import run as run_process

TEMPLATE_DEADLINE_S = 60.0
KeyPath = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ChartArchive:
    """One version of a chart as `helm pull` leaves it."""

    path: Path
    name: str
    version: str
    defaults: Mapping[str, Any] = field(repr=False)
    """`values.yaml`, that of every subchart below its name or alias."""
    schema: Mapping[str, Any] = field(repr=False)
    """`values.schema.json`, subcharts likewise; empty where the chart has none."""


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """What `helm template` said."""

    text: str
    error: str = ""
    """helm's words in one line; empty where it rendered."""


def read_archives(directory: Path) -> dict[tuple[str, str], ChartArchive]:
    """Every `*.tgz` by chart name and version. Raises Permanent for a file that is no chart, or where there is none."""
    found = [read_archive(path) for path in sorted(directory.glob("*.tgz"))]
    if not found:
        raise Permanent(
            f"{directory} holds no chart archives (*.tgz)",
            stage="charts",
            error_class=ErrorClass.USER,
            next_step="fetch them with `helm pull CHART --repo URL --version VERSION --destination DIR`",
        )
    return {(one.name, one.version): one for one in found}


def read_archive(path: Path) -> ChartArchive:
    """One archive. Raises Permanent where it is no chart."""
    try:
        with tarfile.open(path, mode="r:gz") as archive:
            files = {
                member.name.partition("/")[2]: stream.read()
                for member in archive.getmembers()
                if member.name.rpartition("/")[2] in {"Chart.yaml", "values.yaml", "values.schema.json"}
                and (stream := archive.extractfile(member)) is not None
            }
        metadata = _yaml(files["Chart.yaml"])
        name, version = str(metadata["name"]), str(metadata["version"])
        aliases = {str(one["name"]): str(one.get("alias") or one["name"]) for one in metadata.get("dependencies") or ()}
        return ChartArchive(
            path=path, name=name, version=version, defaults=_defaults(files, aliases), schema=_schema(files, aliases)
        )
    except (OSError, tarfile.TarError, KeyError, TypeError, ValueError, ConfigProblems) as error:
        raise Permanent(
            f"{path} is no chart archive: {type(error).__name__}",
            stage="charts",
            error_class=ErrorClass.USER,
            next_step="fetch it again with `helm pull`, or take it out of the directory",
        ) from error


def _yaml(content: bytes) -> Any:
    documents = parse_documents(content.decode(), shown="values.yaml", scalar=helm_value)
    return plain(documents[0], opaque=True) if documents else {}


def _defaults(files: Mapping[str, bytes], aliases: Mapping[str, str]) -> dict[str, Any]:
    below = {name: _yaml(files[f"charts/{name}/values.yaml"]) for name in _subcharts(files, "values.yaml")}
    own = _yaml(files.get("values.yaml", b""))
    # What the parent says of a subchart lies over the subchart's own defaults; here only the keys count.
    return merge_maps({aliases.get(name, name): {"global": {}, **values} for name, values in below.items()}, own)


def _schema(files: Mapping[str, bytes], aliases: Mapping[str, str]) -> dict[str, Any]:
    own = json.loads(files.get("values.schema.json", b"{}"))
    for name in _subcharts(files, "values.schema.json"):
        below = json.loads(files[f"charts/{name}/values.schema.json"])
        own.setdefault("properties", {}).setdefault(aliases.get(name, name), below)
    return dict(own)


def _subcharts(files: Mapping[str, bytes], kind: str) -> list[str]:
    """Direct subcharts only: a chart's values name those of deeper ones through them."""
    parts = [path.split("/") for path in files]
    return [words[1] for words in parts if len(words) == 3 and words[0] == "charts" and words[2] == kind]


def unknown_keys(values: Mapping[str, Any], chart: ChartArchive) -> list[KeyPath]:
    """Keys that neither the chart's defaults nor its schema know, as short as possible: `("hubbel",)`.

    A default that is null, a list or an empty map is free below: what goes there is the user's.
    """
    return sorted(_unknown(values, chart.defaults, chart.schema, ()))


def _unknown(values: Mapping[str, Any], defaults: Any, schema: Mapping[str, Any], at: KeyPath) -> Iterable[KeyPath]:
    properties: Mapping[str, Any] = schema.get("properties") or {}
    for key, value in values.items():
        known = defaults.get(key, _ABSENT) if isinstance(defaults, dict) else _ABSENT
        described = properties.get(key)
        if known is _ABSENT and described is None:
            yield (*at, key)
        elif isinstance(value, dict) and (_has_keys(known) or (described or {}).get("properties")):
            yield from _unknown(value, known, described or {}, (*at, key))


_ABSENT = object()


def _has_keys(value: object) -> bool:
    return isinstance(value, dict) and bool(value)


def without(values: Mapping[str, Any], path: KeyPath) -> dict[str, Any]:
    """The same values without one key."""
    head, *rest = path
    if not rest:
        return {key: value for key, value in values.items() if key != head}
    return {**values, head: without(values[head], tuple(rest))}


@dataclass(frozen=True, kw_only=True)
class Renderer:
    """`helm template` with a home of its own."""

    helm: Path
    run: Run = run_process
    kubernetes: str = ""
    """The version that the charts are rendered for."""

    def render(
        self, chart: ChartArchive, *, release: str, namespace: str, values: Sequence[Path | Mapping[str, Any]]
    ) -> Rendering:
        """The objects of a chart with these values, without its CRDs."""
        with TemporaryDirectory(prefix="infraflux-template-") as directory:
            home = Path(directory)
            argv: list[str | Path] = [self.helm, "template", release, chart.path, "--namespace", namespace]
            argv += ["--kube-version", self.kubernetes] if self.kubernetes else []
            for number, one in enumerate(values):
                file = one if isinstance(one, Path) else home / f"values-{number}.json"
                if not isinstance(one, Path):
                    file.write_text(values_text(one))
                argv += ["--values", file]
            env = {f"HELM_{name}_HOME": str(home / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
            done = self.run(argv, deadline_s=TEMPLATE_DEADLINE_S, env=env)
        if done.returncode == 0:
            return Rendering(text=done.stdout)
        lines = [line.strip() for line in (done.stderr or done.tail).splitlines() if line.strip()]
        return Rendering(text="", error=" ".join(lines).removeprefix("Error: "))

    def without_effect(
        self, chart: ChartArchive, *, release: str, namespace: str, values: Mapping[str, Any], keys: Iterable[KeyPath]
    ) -> list[KeyPath]:
        """Those keys that the chart renders the same without, or where it never renders the same twice."""
        suspects = list(keys)
        if not suspects:
            return []
        first, again = (
            self.render(chart, release=release, namespace=namespace, values=[values]).text for _ in range(2)
        )
        return [
            key
            for key in suspects
            if first != again
            or self.render(chart, release=release, namespace=namespace, values=[without(values, key)]).text == first
        ]
