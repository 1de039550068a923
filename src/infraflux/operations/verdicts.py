"""What Talos was asked before and had nothing against, by the digest of all that the answer depends on."""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from infraflux.core.files import write_private

MOST = 20_000
"""Digests that are kept; a hundred clusters have some thousand nodes."""


def digest_of(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class Verdicts:
    """A file of digests. One that cannot be read or written makes a check slower and never wrong."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, None] = {}
        with suppress(OSError, UnicodeDecodeError):
            self._known = dict.fromkeys(file.read_text("ascii").split())

    def __contains__(self, digest: str) -> bool:
        return digest in self._known

    def add(self, digests: Iterable[str]) -> None:
        """Remember these, the newest last."""
        fresh = [digest for digest in digests if digest not in self._known]
        if fresh:
            kept = [*self._known, *fresh][-MOST:]
            self._known = dict.fromkeys(kept)
            with suppress(OSError):
                write_private(self._file, "\n".join(kept) + "\n")
