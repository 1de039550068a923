"""The pinned `talosctl` as an argv builder with typed answers; the only way InfraFlux speaks to Talos.

Every call names one node and one endpoint, the node's own address: nothing is proxied through another node, so an
answer always comes from the machine it was asked of.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from infraflux.adapters.talos.facts import EtcdMember
from infraflux.core import process
from infraflux.core.errors import ErrorClass, InfrafluxError, Permanent, Retryable

CALL_DEADLINE_S = 30.0
"""A single read or write; long operations pass their own deadline."""
LOCAL_DEADLINE_S = 120.0
"""A command that asks no node takes milliseconds; only a machine with much else to do makes it slow."""


class Code(StrEnum):
    """What went wrong, as gRPC or TLS said it."""

    UNREACHABLE = "Unavailable"
    HUNG_UP = "HungUp"
    """The connection broke off. A machine on its way down does that, and so does one that wants a client certificate:
    with TLS 1.3 a client learns of the refusal after it has begun to write (RFC 8446, 4.4.2.4), and the write may fail
    first. Of 20 calls to a real node 14 ended with `broken pipe`, 1 with a reset and 5 with the reason."""
    CERTIFICATE_REQUIRED = "CertificateRequired"
    """The machine runs with a configuration already: it wants a client certificate."""
    UNKNOWN_AUTHORITY = "UnknownAuthority"
    """The machine's certificate is not from our cluster: maintenance mode, or somebody else's cluster."""
    INVALID_ARGUMENT = "InvalidArgument"
    FAILED_PRECONDITION = "FailedPrecondition"
    ALREADY_EXISTS = "AlreadyExists"
    NOT_FOUND = "NotFound"
    PERMISSION_DENIED = "PermissionDenied"
    UNIMPLEMENTED = "Unimplemented"
    DEADLINE = "DeadlineExceeded"
    OTHER = "Unknown"


_TLS_TEXTS = {
    "certificate required": Code.CERTIFICATE_REQUIRED,
    "bad certificate": Code.CERTIFICATE_REQUIRED,
    "didn't provide a certificate": Code.CERTIFICATE_REQUIRED,
    "certificate signed by unknown authority": Code.UNKNOWN_AUTHORITY,
    "failed to verify certificate": Code.UNKNOWN_AUTHORITY,
    "unknown certificate authority": Code.UNKNOWN_AUTHORITY,
}
_HANGING_UP = ("broken pipe", "connection reset by peer")
_GRPC_CODE = re.compile(r"code = (\w+)")
_RETRYABLE = {Code.UNREACHABLE, Code.HUNG_UP, Code.FAILED_PRECONDITION, Code.DEADLINE}
_CLASSES = {Code.INVALID_ARGUMENT: ErrorClass.CONFIG, Code.ALREADY_EXISTS: ErrorClass.CONFLICT}


class TalosTransient(Retryable):
    """The node does not answer yet or is busy; `code` says how."""

    code: Code = Code.OTHER


class TalosRefused(Permanent):
    """The node refused; `code` says why."""

    code: Code = Code.OTHER


TALOS_ERRORS = (TalosTransient, TalosRefused)


def classify(stderr: str) -> Code:
    """The code in what talosctl printed. TLS texts first: gRPC wraps them in `Unavailable`."""
    for text, code in _TLS_TEXTS.items():
        if text in stderr:
            return code
    if any(text in stderr for text in _HANGING_UP):
        return Code.HUNG_UP
    found = _GRPC_CODE.search(stderr)
    name = found.group(1) if found else ""
    if name in set(Code):
        return Code(name)
    return Code.UNREACHABLE if "connection refused" in stderr or "i/o timeout" in stderr else Code.OTHER


@dataclass(frozen=True)
class Resource:
    """One COSI resource of `talosctl get -o json`."""

    id: str
    spec: Any
    metadata: Mapping[str, Any] = field(default_factory=dict)


OnLine = Callable[[str], None]


class Runner(Protocol):
    """`infraflux.core.process.run`, or a fake of it."""

    def __call__(
        self,
        argv: Sequence[str | Path],
        *,
        deadline_s: float,
        on_line: OnLine | None = None,
    ) -> process.Completed: ...


@dataclass(frozen=True, kw_only=True)
class Talosctl:
    """Calls of one cluster's nodes; `talosconfig` holds the admin certificate, None before the first configuration."""

    binary: Path
    cluster: str
    talosconfig: Path | None = None
    runner: Runner = process.run

    def local(self, *words: str | Path, deadline_s: float = LOCAL_DEADLINE_S) -> str:
        """A command that asks no node (`gen`, `validate`, `machineconfig patch`); its standard output."""
        return self._run([self.binary, *words], deadline_s=deadline_s, what=str(words[0]))

    def call(
        self,
        *words: str | Path,
        node: str,
        endpoint: str = "",
        insecure: bool = False,
        deadline_s: float = CALL_DEADLINE_S,
        on_line: OnLine | None = None,
    ) -> str:
        """A command to one node; its standard output, which `on_line` hears of. Raises TalosTransient or TalosRefused.

        `endpoint` is another node that passes it on, for the few commands that need a control plane's help.
        """
        argv = self._argv(words, node=node, endpoint=endpoint, insecure=insecure)
        return self._completed(argv, deadline_s=deadline_s, what=f"{words[0]} on {node}", on_line=on_line).stdout

    def _argv(
        self, words: Sequence[str | Path], *, node: str, endpoint: str = "", insecure: bool = False
    ) -> list[str | Path]:
        argv: list[str | Path] = [self.binary, *words, "--nodes", node, "--endpoints", endpoint or node]
        if insecure:
            return [*argv, "--insecure"]
        return argv if self.talosconfig is None else [*argv, "--talosconfig", self.talosconfig]

    def get(self, kind: str, *, node: str, insecure: bool = False, namespace: str = "") -> list[Resource]:
        """All resources of a kind, in the order the node lists them."""
        words = ["get", kind, "-o", "json", *(["--namespace", namespace] if namespace else [])]
        return [_resource(one) for one in json_documents(self.call(*words, node=node, insecure=insecure))]

    def needs_reboot(self, config: Path, *, node: str) -> bool:
        """Whether the node, which runs with another machine config, needs a reboot for this one: its own answer.

        A dry run changes nothing; what else it prints is a diff that may hold secrets, and goes nowhere.
        """
        words = ("apply-config", "--mode", "auto", "--dry-run", "--file", config)
        done = self._completed(self._argv(words, node=node), deadline_s=CALL_DEADLINE_S, what=f"apply-config on {node}")
        return "Applied configuration with a reboot" in f"{done.stdout}{done.stderr}"

    def version(self, *, node: str) -> str:
        """The Talos version that runs: `v1.13.9`."""
        text = self.call("version", "--short", node=node)
        server = text.split("Server:", 1)[-1]
        found = re.search(r"Tag:\s+(v\S+)", server)
        if not found:
            raise self._error(Code.OTHER, f"{node} answered no version", "")
        return found.group(1)

    def etcd_members(self, *, node: str) -> list[EtcdMember]:
        return parse_etcd_members(self.call("etcd", "members", node=node))

    def etcd_leader(self, *, node: str) -> str:
        """Id of the member that leads, as this node's member knows it."""
        rows = read_table(self.call("etcd", "status", node=node))
        return rows[0].get("LEADER", "") if rows else ""

    def _run(self, argv: Sequence[str | Path], *, deadline_s: float, what: str) -> str:
        return self._completed(argv, deadline_s=deadline_s, what=what).stdout

    def _completed(
        self, argv: Sequence[str | Path], *, deadline_s: float, what: str, on_line: OnLine | None = None
    ) -> process.Completed:
        try:
            done = self.runner(argv, deadline_s=deadline_s, on_line=on_line)
        except process.ProcessTimeout as error:
            raise self._error(Code.DEADLINE, f"talosctl {what}", f"no answer within {deadline_s:.0f} s") from error
        if done.returncode == 0:
            return done
        message = done.stderr.strip() or done.stdout.strip()
        raise self._error(classify(message), f"talosctl {what}", message)

    def _error(self, code: Code, what: str, message: str) -> InfrafluxError:
        kind = TalosTransient if code in _RETRYABLE else TalosRefused
        error = kind(
            f"{what}: {code}: {_short(message)}",
            cluster=self.cluster,
            stage="talos",
            error_class=_CLASSES.get(code, ErrorClass.TRANSIENT if kind is TalosTransient else ErrorClass.INTERNAL),
        )
        error.code = code
        return error


def error_code(error: InfrafluxError) -> Code:
    """The code of a Talos error; OTHER for any other error."""
    return error.code if isinstance(error, TALOS_ERRORS) else Code.OTHER


def _short(message: str) -> str:
    """One line: talosctl spreads a refused patch over several, and its errors are wrapped in errors."""
    return " ".join(message.split())[-400:] or "no message"


def json_documents(text: str) -> list[dict[str, Any]]:
    """`talosctl get -o json` prints one document after the other, not an array."""
    decoder = json.JSONDecoder()
    documents: list[dict[str, Any]] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        document, at = decoder.raw_decode(text, at)
        documents.append(document)
    return documents


def _resource(document: Mapping[str, Any]) -> Resource:
    metadata = document.get("metadata", {})
    return Resource(id=str(metadata.get("id", "")), spec=document.get("spec"), metadata=metadata)


def parse_etcd_members(text: str) -> list[EtcdMember]:
    """Read the table of `talosctl etcd members`: NODE, ID, HOSTNAME, PEER URLS, CLIENT URLS, LEARNER."""
    return [
        EtcdMember(
            id=cell["ID"],
            hostname=cell["HOSTNAME"],
            peer_urls=tuple(cell["PEER URLS"].split(",")),
            learner=cell["LEARNER"] == "true",
        )
        for cell in read_table(text)
    ]


def read_table(text: str) -> list[dict[str, str]]:
    """Rows of a table of talosctl by the titles of its columns.

    Cells may be empty (a member that was added and has not started yet has neither a host name nor client URLS), so
    they are found by where their column begins (Go's text/tabwriter aligns them), not by what is between them.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return []
    head, *rows = lines
    starts = {found.group(): found.start() for found in re.finditer(r"\S+(?: \S+)*", head)}
    ends = dict(zip(starts, [*list(starts.values())[1:], None], strict=True))
    return [{title: row[start : ends[title]].strip() for title, start in starts.items()} for row in rows]
