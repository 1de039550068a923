"""The encrypted bundle: read, make once, re-encrypt with a backup."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pyrage
from pyrage import x25519
from ruamel.yaml import YAML

from infraflux.adapters.files import write_private
from infraflux.config.errors import Permanent


@dataclass(frozen=True)
class SecretsBundle:
    """The plain text of `talosctl gen secrets`; its representation shows nothing of it."""

    text: str = field(repr=False)

    @property
    def document(self) -> dict[str, Any]:
        loaded = YAML(typ="safe", pure=True).load(StringIO(self.text))
        return dict(loaded or {})

    @property
    def cluster_id(self) -> str:
        """Talos' `cluster.id`: tells our cluster from another one at the same address. Not a secret."""
        return str(self.document["cluster"]["id"])

    def sensitive_values(self) -> frozenset[str]:
        """Every string that must not appear in any output; the cluster id is not one of them."""
        values = set(_strings(self.document))
        return frozenset(value for value in values - {self.cluster_id} if len(value) >= 8)


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
        if "cluster" not in bundle.document:
            raise self._error(f"{self.path} holds no Talos secrets bundle", "restore the bundle from its backup")
        return bundle

    def create(self, plain: str) -> None:
        """Encrypt a new bundle; an existing one is never written over (Permanent)."""
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
            keys = [x25519.Recipient.from_str(text) for text in self.effective_recipients()]
        except pyrage.RecipientError:
            raise self._error(
                "secrets.recipients holds something that is no age recipient", "use age1... keys"
            ) from None
        return bytes(pyrage.encrypt(plain.encode(), keys))

    def _error(self, message: str, next_step: str) -> Permanent:
        return Permanent(message, cluster=self.cluster, stage="secrets", next_step=next_step)
