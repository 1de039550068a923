"""The encrypted bundle: read, make once, re-encrypt with a backup."""

import base64
import binascii
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pyrage
from pyrage import x25519
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from infraflux.config.recipients import recipient
from infraflux.core.errors import Permanent
from infraflux.core.files import write_private

Learn = Callable[[Collection[str]], None]
"""Told every secret value the moment it is known and before anything is done with it: the mask of a log."""
SHORTEST = 8
"""Values below this length are words like `x509`, not secrets."""
_JOIN_TOKEN = re.compile(r"[a-z0-9]{6}\.([a-z0-9]{16})")
_CREDENTIAL_FIELDS = frozenset({"key", "client-key-data", "token"})


def ignore(_values: Collection[str]) -> None:
    """For callers whose output is masked by nobody because they print none of it."""


@dataclass(frozen=True)
class SecretsBundle:
    """The plain text of `talosctl gen secrets`; its representation shows nothing of it."""

    text: str = field(repr=False)

    @property
    def document(self) -> dict[str, Any]:
        loaded = YAML(typ="safe", pure=True).load(StringIO(self.text))
        return dict(loaded or {})

    @property
    def usable(self) -> bool:
        """Whether it is a bundle at all; a parser's own message would quote the plain text."""
        try:
            return bool(self.document["cluster"]["id"])
        except (YAMLError, KeyError, TypeError, ValueError):
            return False

    @property
    def cluster_id(self) -> str:
        """Talos' `cluster.id`: tells our cluster from another one at the same address. Not a secret."""
        return str(self.document["cluster"]["id"])

    def sensitive_values(self) -> frozenset[str]:
        """Every text that must not appear in any output, in each form it can take; the cluster id is none of them."""
        values = set(_strings(self.document)) - {self.cluster_id}
        return frozenset(form for value in values for form in written_forms(value) if len(form) >= SHORTEST)


def written_forms(value: str) -> Iterator[str]:
    """A secret as it can show up in text (pure): itself, the lines of the PEM in it, the second half of a token."""
    yield value
    if token := _JOIN_TOKEN.fullmatch(value):
        yield token.group(1)
    try:
        decoded = base64.b64decode(value, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return
    # Its first and last line are in every PEM there is: they are no secret and would mask other texts.
    if decoded.startswith("-----BEGIN"):
        yield from (line for line in decoded.splitlines() if "-----" not in line)


def credential_values(text: str) -> frozenset[str]:
    """The private keys in a kubeconfig or talosconfig, in each form they can take; none where it is neither."""
    try:
        document = YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return frozenset()
    found = _fields(document, _CREDENTIAL_FIELDS)
    return frozenset(form for value in found for form in written_forms(value) if len(form) >= SHORTEST)


def _fields(node: Any, names: frozenset[str]) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in names and isinstance(value, str):
                yield value
            yield from _fields(value, names)
    elif isinstance(node, list):
        for one in node:
            yield from _fields(one, names)


def _strings(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [text for value in node.values() for text in _strings(value)]
    if isinstance(node, list):
        return [text for value in node for text in _strings(value)]
    return [node] if isinstance(node, str) else []


@dataclass(frozen=True, kw_only=True)
class BundleStore:
    """The encrypted bundle file of one cluster."""

    cluster: str
    path: Path
    identities: Sequence[x25519.Identity] = field(repr=False)
    recipients: Sequence[str] = ()
    """Who can open it; where empty, the identities' own public keys."""
    learn: Learn = ignore

    def exists(self) -> bool:
        return self.path.exists()

    def read(self) -> SecretsBundle:
        """Decrypt; Permanent names what is missing (the file or a fitting key), never a value."""
        if not self.exists():
            raise self._error(f"{self.path} does not exist", f"run `infraflux secrets init {self.cluster}`")
        try:
            plain = pyrage.decrypt(self.path.read_bytes(), list(self.identities))
        except pyrage.DecryptError:
            raise self._error(
                f"{self.path} cannot be decrypted with the identity of secrets.identity",
                "give the identity it was encrypted for, or restore the bundle from its backup",
            ) from None
        bundle = SecretsBundle(plain.decode())
        if not bundle.usable:
            raise self._error(f"{self.path} holds no Talos secrets bundle", "restore the bundle from its backup")
        self.learn(bundle.sensitive_values())
        return bundle

    def create(self, plain: str) -> None:
        """Encrypt a new bundle; an existing one is never written over (Permanent)."""
        self.learn(SecretsBundle(plain).sensitive_values())
        try:
            write_private(self.path, self._encrypt(plain), exclusive=True)
        except FileExistsError:
            raise self._error(
                f"{self.path} exists; a new bundle would cut off the running cluster",
                "keep it; `infraflux secrets rotate` changes who can open it",
            ) from None

    def rotate(self, *, now: datetime | None = None) -> Path:
        """Encrypt the same bundle for the current recipients; the old file is kept, its path is returned."""
        plain = self.read().text
        stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
        backup = self.path.with_name(f"{self.path.name}.{stamp}.bak")
        write_private(backup, self.path.read_bytes(), exclusive=True)
        write_private(self.path, self._encrypt(plain))
        return backup

    def effective_recipients(self) -> tuple[str, ...]:
        return tuple(self.recipients) or tuple(str(identity.to_public()) for identity in self.identities)

    def _encrypt(self, plain: str) -> bytes:
        try:
            keys = [recipient(text) for text in self.effective_recipients()]
        except pyrage.RecipientError:
            raise self._error(
                "secrets.recipients holds something that is no age recipient, or whose plugin is not on PATH",
                "use age1... or SSH keys, and install the age plugin of the others",
            ) from None
        return bytes(pyrage.encrypt(plain.encode(), keys))

    def _error(self, message: str, next_step: str) -> Permanent:
        return Permanent(message, cluster=self.cluster, stage="secrets", next_step=next_step)
