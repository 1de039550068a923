"""Helm charts as a repository: archives and an index, the same bytes every time."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

STANDIN_CHARTS = Path(__file__).with_name("charts")
# A chart repository's index wants a date; a fixed one keeps the index equal as long as the charts are.
_CREATED = "2026-01-01T00:00:00Z"
_INDEX_KEYS = ("apiVersion", "name", "version", "appVersion", "description", "type", "kubeVersion", "dependencies")


class ChartError(ValueError):
    """A directory or archive that is not a chart; names it."""


@dataclass(frozen=True, kw_only=True)
class ChartArchive:
    """One version of a chart."""

    metadata: Mapping[str, Any]
    data: bytes
    simulated: bool
    """A stand-in of the lab; False for an archive of the user's."""

    @property
    def name(self) -> str:
        """Chart name."""
        return str(self.metadata["name"])

    @property
    def version(self) -> str:
        """Chart version."""
        return str(self.metadata["version"])

    @property
    def file_name(self) -> str:
        """`<name>-<version>.tgz`."""
        return f"{self.name}-{self.version}.tgz"


def write_standin_charts(directory: Path) -> Path:
    """Write the archive of every stand-in chart into a directory; returns it."""
    for home in sorted(STANDIN_CHARTS.iterdir()):
        archive = package_chart(home)
        (directory / archive.file_name).write_bytes(archive.data)
    return directory


def package_chart(directory: Path) -> ChartArchive:
    """Pack a chart's directory: sorted, without owners and dates, so that equal files are an equal archive."""
    metadata = _metadata((directory / "Chart.yaml").read_bytes(), directory)
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(path for path in directory.rglob("*") if path.is_file()):
            content = path.read_bytes()
            entry = tarfile.TarInfo(f"{metadata['name']}/{path.relative_to(directory).as_posix()}")
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return ChartArchive(metadata=metadata, data=gzip.compress(raw.getvalue(), mtime=0), simulated=True)


def read_archive(path: Path) -> ChartArchive:
    """A chart archive as `helm pull` leaves it; ChartError where it is none."""
    data = path.read_bytes()
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            inside = next(item for item in archive.getmembers() if item.name.count("/") == 1 and _is_chart_yaml(item))
            stream = archive.extractfile(inside)
            assert stream is not None
            return ChartArchive(metadata=_metadata(stream.read(), path), data=data, simulated=False)
    except (tarfile.TarError, StopIteration, OSError):
        raise ChartError(f"{path}: not a chart archive: no <name>/Chart.yaml inside") from None


def read_archives(directory: Path) -> list[ChartArchive]:
    """Every archive in a directory; ChartError where it is none or holds none."""
    found = [read_archive(path) for path in sorted(directory.glob("*.tgz"))]
    if not found:
        what = "no chart archives (*.tgz) there" if directory.is_dir() else "no directory"
        raise ChartError(f"{directory}: {what}")
    return found


def collect(*, standins: Path, given: Path | None) -> list[ChartArchive]:
    """The stand-ins, each replaced by the user's archives of the same chart where there are any."""
    real = read_archives(given) if given else []
    named = {archive.name for archive in real}
    packed = (package_chart(path.parent) for path in sorted(standins.glob("*/Chart.yaml")))
    return real + [archive for archive in packed if archive.name not in named]


def index(archives: Iterable[ChartArchive]) -> bytes:
    """`index.yaml` (https://helm.sh/docs/topics/chart_repository/); addresses are relative to it."""
    entries: dict[str, list[dict[str, Any]]] = {}
    for archive in archives:
        entry = {key: archive.metadata[key] for key in _INDEX_KEYS if key in archive.metadata}
        entry |= {"urls": [archive.file_name], "digest": hashlib.sha256(archive.data).hexdigest(), "created": _CREATED}
        entries.setdefault(archive.name, []).append(entry)
    stream = io.BytesIO()
    YAML(typ="safe").dump({"apiVersion": "v1", "entries": entries, "generated": _CREATED}, stream)
    return stream.getvalue()


def _is_chart_yaml(item: tarfile.TarInfo) -> bool:
    return item.isfile() and item.name.endswith("/Chart.yaml")


def _metadata(content: bytes, where: Path) -> Mapping[str, Any]:
    try:
        metadata = YAML(typ="safe").load(content)
    except YAMLError as error:
        raise ChartError(f"{where}: Chart.yaml is not YAML: {error}") from None
    if not isinstance(metadata, dict) or not metadata.get("name") or not metadata.get("version"):
        raise ChartError(f"{where}: Chart.yaml names no chart and version")
    return metadata
