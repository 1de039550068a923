"""Container images made from single programs: one layer each, in the form that registries serve.

Media types and fields: https://github.com/opencontainers/image-spec (manifest.md, config.md, layer.md), version 1.1.
"""

import hashlib
import io
import json
import os
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infraflux.core.files import write_whole
from infraflux_lab.state import read_json

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What an image holds: files of this machine by their place in it, texts, links, directories."""

    files: Mapping[str, Path]
    texts: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    directories: Sequence[str] = ()
    entrypoint: Sequence[str] = ()
    user: str = ""
    """`65535:65535`; empty is root."""

    def digest(self) -> str:
        """Changes when the recipe or one of its files does."""
        stats = {
            name: (str(path), path.stat().st_size, path.stat().st_mtime_ns) for name, path in sorted(self.files.items())
        }
        said = [stats, dict(self.texts), dict(self.links), list(self.directories), list(self.entrypoint), self.user]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


class ImageStore:
    """Blobs by digest, and manifests by image name (`registry.k8s.io/etcd:v3.6.12`)."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._index_path = directory / "index.json"
        self._index: dict[str, dict[str, Any]] = read_json(self._index_path, {})

    def add(self, name: str, recipe: Recipe) -> bool:
        """Make the image, unless it is there already; whether it was made now."""
        digest = recipe.digest()
        known = self._index.get(name)
        if known is not None and known["recipe"] == digest and self.blob(known["manifest"]) is not None:
            return False
        same = next((one for one in self._index.values() if one["recipe"] == digest), None)
        entry = same or {"recipe": digest, "manifest": self._make(recipe)}
        self._index[name] = entry
        write_whole(self._index_path, json.dumps(self._index).encode())
        return True

    def manifest(self, name: str) -> str | None:
        """Digest of the manifest of this image; None where there is none. An image made as `name:*` has every tag."""
        found = self._index.get(name) or self._index.get(f"{name.rpartition(':')[0]}:*")
        return str(found["manifest"]) if found else None

    def names(self) -> list[str]:
        """Every image there is."""
        return sorted(self._index)

    def blob(self, digest: str) -> Path | None:
        """The file of a blob; None where there is none."""
        algorithm, _, value = digest.partition(":")
        if algorithm != "sha256" or not value.isalnum():
            return None
        path = self._directory / "blobs" / value
        return path if path.exists() else None

    def _make(self, recipe: Recipe) -> str:
        layer, layer_size = self._write_layer(recipe)
        config = {
            "architecture": ARCHITECTURES[platform.machine()],
            "os": "linux",
            "created": EPOCH,
            "config": {
                "Entrypoint": list(recipe.entrypoint),
                "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/bin"],
                "User": recipe.user,
            },
            # A layer that is not compressed has one digest for both.
            "rootfs": {"type": "layers", "diff_ids": [layer]},
            "history": [{"created": EPOCH, "created_by": "infraflux lab"}],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._descriptor(CONFIG, json.dumps(config).encode()),
            "layers": [{"mediaType": LAYER, "digest": layer, "size": layer_size}],
        }
        return str(self._descriptor(MANIFEST, json.dumps(manifest).encode())["digest"])

    def _descriptor(self, media_type: str, content: bytes) -> dict[str, Any]:
        value = hashlib.sha256(content).hexdigest()
        (self._directory / "blobs").mkdir(parents=True, exist_ok=True)
        write_whole(self._directory / "blobs" / value, content)
        return {"mediaType": media_type, "digest": f"sha256:{value}", "size": len(content)}

    def _write_layer(self, recipe: Recipe) -> tuple[str, int]:
        """Digest and size of the layer; it goes straight to its file, since programs are large."""
        blobs = self._directory / "blobs"
        blobs.mkdir(parents=True, exist_ok=True)
        draft = blobs / ".layer"
        with draft.open("wb") as file:
            write_layer(file, recipe)
        with draft.open("rb") as file:
            value = hashlib.file_digest(file, "sha256").hexdigest()
        size = draft.stat().st_size
        draft.replace(blobs / value)
        return f"sha256:{value}", size


def write_layer(file: Any, recipe: Recipe) -> None:
    """The layer as a tar archive; the same for the same recipe."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in _directories(recipe):
            entry = _entry(name, mode=0o755, kind=tarfile.DIRTYPE)
            archive.addfile(entry)
        for name, target in sorted(recipe.links.items()):
            entry = _entry(name, mode=0o777, kind=tarfile.SYMTYPE)
            entry.linkname = target
            archive.addfile(entry)
        for name, text in sorted(recipe.texts.items()):
            entry = _entry(name, mode=0o644)
            content = text.encode()
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for name, path in sorted(recipe.files.items()):
            entry = _entry(name, mode=0o755)
            entry.size = path.stat().st_size
            with path.open("rb") as source:
                archive.addfile(entry, source)


def _entry(name: str, *, mode: int, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name.lstrip("/"))
    entry.mode, entry.type, entry.mtime = mode, kind, 0
    return entry


def _directories(recipe: Recipe) -> list[str]:
    """Every directory that something in the image is in, parents first."""
    found: set[str] = {name.strip("/") for name in recipe.directories}
    for name in (*recipe.files, *recipe.texts, *recipe.links, *recipe.directories):
        parents = Path(name.strip("/")).parents
        found |= {parent.as_posix() for parent in parents if parent.as_posix() != "."}
    return sorted(found - {""} - {name.strip("/") for name in recipe.links})


def program(path: Path, *, name: str) -> Recipe:
    """An image of one static program in /usr/local/bin, where Talos and Kubernetes look for theirs."""
    return Recipe(files={f"/usr/local/bin/{name}": path}, entrypoint=[f"/usr/local/bin/{name}"])


def pause(path: Path) -> Recipe:
    """A program that only waits, as a user that is not root, as the image of that name has it."""
    return Recipe(files={"/pause": path}, entrypoint=["/pause"], user="65535:65535")


def busybox(
    path: Path, *, commands: Sequence[str], libraries: Sequence[Path], programs: Mapping[str, Path] | None = None
) -> Recipe:
    """The distribution's busybox under the name of each of its commands, with more programs in /usr/local/bin."""
    more = {f"/usr/local/bin/{name}": one for name, one in (programs or {}).items()}
    return Recipe(
        files={"/usr/bin/busybox": path} | more | _placed(libraries),
        links=_MERGED | {f"/usr/bin/{name}": "busybox" for name in commands if name != "busybox"},
        directories=["/tmp"],  # noqa: S108 - inside the image
        entrypoint=["/bin/sh"],
    )


def kubelet(path: Path, *, helpers: Mapping[str, Path], libraries: Sequence[Path]) -> Recipe:
    """The kubelet with the programs it starts: it mounts volumes with mount(8)."""
    files = {"/usr/local/bin/kubelet": path}
    files |= {f"/usr/bin/{name}": helper for name, helper in helpers.items()}
    return Recipe(
        files=files | _placed(libraries),
        texts={"/etc/passwd": "root:x:0:0:root:/root:/sbin/nologin\n", "/etc/group": "root:x:0:\n"},
        links={"/var/run": "/run", **_MERGED},
        directories=["/tmp", "/root", "/run", "/var/lib"],  # noqa: S108 - inside the image
        entrypoint=["/usr/local/bin/kubelet"],
    )


_MERGED = {"/lib": "usr/lib", "/lib64": "usr/lib64", "/bin": "usr/bin", "/sbin": "usr/bin"}


def _placed(libraries: Sequence[Path]) -> dict[str, Path]:
    """Where an image keeps these libraries of this machine."""
    return {f"/usr/{os.fspath(one.relative_to('/')).removeprefix('usr/')}": one for one in libraries}
