"""Secrets that patches refer to, put in right before talosctl reads them and kept nowhere."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from infraflux.adapters.talos.configs import PatchSet
from infraflux.adapters.talos.documents import MASK
from infraflux.config.models import Role
from infraflux.config.references import put_in
from infraflux.config.secrets_ref import resolve
from infraflux.core.errors import Permanent

STAND_IN = "A" * 43 + "="
"""32 bytes in base64: WireGuard's keys are checked for that form (Talos v1.13.9, config/types/network/wireguard.go)."""


@dataclass(frozen=True)
class OpenPatches:
    """Patches with their secrets in the clear; nothing of them shows in the representation."""

    all: tuple[str, ...] = field(repr=False)
    roles: Mapping[Role, tuple[str, ...]] = field(repr=False)
    node: Mapping[str, tuple[str, ...]] = field(repr=False)
    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    def for_role(self, role: Role) -> tuple[str, ...]:
        return self.roles[role]


def open_patches(patches: PatchSet, *, root: Path) -> OpenPatches:
    """Every reference resolved. Raises Permanent (config) naming the reference that cannot be."""
    found: dict[str, str] = {}

    def value_of(reference: str) -> str:
        return found.setdefault(reference, resolve(reference, root=root).reveal())

    opened = _put_in(patches, value_of)
    return replace(opened, secrets=frozenset(found.values()))


def with_stand_ins(patches: PatchSet) -> OpenPatches:
    """The patches as Talos can judge them without any secret: something of a key's form in the place of each."""
    return _put_in(patches, lambda _: STAND_IN)


def _put_in(patches: PatchSet, value_of: Callable[[str], str]) -> OpenPatches:
    def opened(texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(put_in(text, value_of) for text in texts)

    return OpenPatches(
        all=opened(patches.all),
        roles={role: opened(patches.for_role(role)) for role in Role},
        node={name: opened(texts) for name, texts in patches.node.items()},
    )


def without_secrets(error: Permanent, secrets: Collection[str]) -> Permanent:
    """The same error, with every one of the secrets in its message masked; its cause is left behind with them."""
    message = error.message
    for value in sorted(secrets, key=len, reverse=True):
        for form in (value, json.dumps(value)[1:-1]):
            message = message.replace(form, MASK)
    return Permanent(
        message,
        cluster=error.cluster,
        stage=error.stage,
        error_class=error.error_class,
        next_step=error.next_step,
    )
