"""What talosctl says against a machine config -> what is wrong where in the patch, and what to write instead; pure.

The words are those of Talos 1.13: config/encoder and config/configloader (documents that cannot be read),
config/types/*/ (documents that say the same as the v1alpha1 one).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from infraflux.adapters.talos.keys import MAIN, TalosKeys
from infraflux.config.foreign_yaml import parse_documents
from infraflux.config.problems import ConfigProblems
from infraflux.config.scalars import talos_value
from infraflux.config.suggest import did_you_mean
from infraflux.config.tree import Value


@dataclass(frozen=True)
class Refusal:
    """One thing Talos refuses, and where it stands as far as Talos says."""

    wrong: str
    right: str
    kind: str = ""
    """The document it is in; empty where it is any."""
    path: tuple[str, ...] = ()
    """The keys down to it; empty where it is not one."""
    line: int = 0
    """From 1, in the text that Talos was given; 0 where it names none."""


CORRECT = "correct the patch"
_DOCUMENT = re.compile(
    r"error decoding document (?:[^/\s]*/)?(?P<kind>[^/\s]*)/(?P<name>\S*) \(line \d+\): (?P<rest>.*)", re.DOTALL
)
_TWICE = re.compile(r"duplicate document [^/\s]*/(?P<kind>[^/\s]*)/(?P<name>\S*) is not allowed \(line (?P<line>\d+)\)")
_UNREGISTERED = re.compile(r'"(?P<kind>[^"]*)" "(?P<version>[^"]*)": not registered')
_AT_LINE = re.compile(r"^\s*line (?P<line>\d+): (?P<what>.+)$", re.MULTILINE)
_UNKNOWN = "unknown keys found during decoding:"
_BULLET = re.compile(r"^\s*\* (?P<what>.+)$", re.MULTILINE)


_NO_DOCUMENT = Refusal(
    "is no document of Talos", "`machine:` or `cluster:` is expected, or a document with `apiVersion` and `kind`"
)


@dataclass(frozen=True)
class _Instead:
    """What to write in place of what Talos refuses, and where that stands."""

    words: str
    right: str
    kind: str = ""
    path: tuple[str, ...] = ()


_INSTEAD = (
    _Instead(
        words=r"(static|stable) hostname is already set",
        right="machine.network.hostname is the older way to name a node:"
        " write a document `apiVersion: v1alpha1`, `kind: HostnameConfig`, `hostname: <name>` instead",
        path=("machine", "network", "hostname"),
    ),
    _Instead(
        words=r"(time servers|time sync|boot timeout) cannot be .* in both",
        right="InfraFlux writes machine.time from network.ntp: set that instead of a TimeSyncConfig,"
        " or take it away in a patch file: `machine: {time: {$patch: delete}}`, `---`, then the TimeSyncConfig",
        kind="TimeSyncConfig",
    ),
    _Instead(
        words=r"machine\.network\.\w+ is already set",
        right="InfraFlux writes machine.network.nameservers from network.dns: set that instead of a ResolverConfig,"
        " or take it away in a patch file:"
        " `machine: {network: {nameservers: {$patch: delete}}}`, `---`, then the ResolverConfig",
        kind="ResolverConfig",
    ),
    _Instead(
        words=r"system disk encryption .* in both",
        right="keep the VolumeConfig and remove machine.systemDiskEncryption",
        kind="VolumeConfig",
    ),
)


def explain(words: str, keys: TalosKeys) -> list[Refusal]:
    """Everything that these words say, each once."""
    found = list(dict.fromkeys(_explained(words.strip(), keys)))
    return found or [Refusal(f"Talos refuses it: {' '.join(words.split()) or 'it gives no reason'}", CORRECT)]


def _explained(words: str, keys: TalosKeys) -> Iterator[Refusal]:
    if document := _DOCUMENT.search(words):
        kind = document["kind"] if document["kind"] != "v1alpha1" else MAIN
        yield from _undecoded(document["rest"].strip(), kind, keys)
        return
    if twice := _TWICE.search(words):
        what = (
            f"{twice['kind']} {twice['name']}".rstrip() if twice["kind"] != "v1alpha1" else "`machine:` or `cluster:`"
        )
        yield Refusal(f"this is a second document of {what}", "write both as one", line=int(twice["line"]))
        return
    if words.endswith("config not found"):
        yield _NO_DOCUMENT
    for bullet in _BULLET.finditer(words):
        if not bullet["what"].rstrip().endswith("occurred:"):
            yield _invalid(bullet["what"].strip())


def _undecoded(rest: str, kind: str, keys: TalosKeys) -> Iterator[Refusal]:
    if rest.startswith(_UNKNOWN):
        yield from _unknown_keys(rest.removeprefix(_UNKNOWN), kind, keys)
    elif found := _UNREGISTERED.search(rest):
        right = did_you_mean(found["kind"], keys.kinds)
        right = right if right.startswith("did") else "see the kinds of Talos' reference"
        yield Refusal(f"Talos has no document of kind {found['kind']!r}", right, kind=found["kind"], path=("kind",))
    elif rest == "missing kind":
        yield _NO_DOCUMENT
    elif lines := list(_AT_LINE.finditer(rest)):
        for one in lines:
            yield Refusal(f"Talos refuses it: {one['what']}", CORRECT, line=int(one["line"]))
    else:
        yield Refusal(f"Talos refuses it: {' '.join(rest.split())}", CORRECT, kind=kind if kind != MAIN else "")


def _unknown_keys(listed: str, kind: str, keys: TalosKeys) -> Iterator[Refusal]:
    """Talos lists unknown keys with all that stands below them, and their parents."""
    try:
        documents = parse_documents(listed, shown="talosctl", scalar=talos_value)
    except ConfigProblems:
        documents = []
    for document in documents:
        for path in _leaves(document):
            if not path:
                continue
            down, right = keys.unknown(kind, path) or (path, CORRECT)
            shown = ".".join(down)
            yield Refusal(f"unknown key {shown!r}", right, kind=kind, path=down)


def _leaves(value: Value) -> Iterator[tuple[str, ...]]:
    """Keys down to every scalar or empty container; list items have no name and add nothing."""
    if isinstance(value.data, dict) and value.data:
        for key, child in value.data.items():
            yield from ((key, *below) for below in _leaves(child))
    elif isinstance(value.data, list) and value.data:
        for child in value.data:
            yield from _leaves(child)
    else:
        yield ()


def _invalid(what: str) -> Refusal:
    wrong = f"Talos refuses it: {what}"
    for one in _INSTEAD:
        if re.search(one.words, what):
            return Refusal(wrong, one.right, kind=one.kind, path=one.path)
    return Refusal(wrong, CORRECT)
