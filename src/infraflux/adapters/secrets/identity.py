"""age identities: the keys that open a bundle. See https://age-encryption.org/v1 for the format."""

from pathlib import Path

from pyrage import x25519

from infraflux.core.errors import Permanent
from infraflux.core.files import write_private


def load_identities(text: str, *, reference: str) -> list[x25519.Identity]:
    """Read every `AGE-SECRET-KEY-...` line of an identity file.

    Raises Permanent naming the reference, never the content, where there is none or one does not parse.
    """
    lines = [line.strip() for line in text.splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    try:
        identities = [x25519.Identity.from_str(key) for key in keys]
    except Exception:  # noqa: BLE001 - pyrage raises its own untyped errors, whose text may hold the key
        identities = []
    if not identities:
        raise Permanent(
            f"{reference} holds no usable age identity",
            stage="secrets",
            next_step="write one with `infraflux secrets init` or point secrets.identity elsewhere",
        ) from None
    return identities


def create_identity(path: Path) -> x25519.Identity:
    """Make a new identity file (0600); FileExistsError where there is one already."""
    identity = x25519.Identity.generate()
    text = f"# public key: {identity.to_public()}\n{identity}\n"
    write_private(path, text, exclusive=True)
    return identity
