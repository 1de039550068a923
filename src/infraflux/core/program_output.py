"""What a program prints, with secrets masked: whole, in lines as they come, and the last of them for an error."""

from collections import deque
from collections.abc import Callable, Collection

MASK = "***"
TAIL_LINES = 60


class Masker:
    """Replaces known secret values in text, also where a secret spans lines or is escaped inside JSON."""

    def __init__(self, secrets: Collection[str]) -> None:
        pieces = {piece.strip() for secret in secrets for piece in (secret, *secret.splitlines())}
        escaped = {piece.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for piece in pieces}
        # Longest first: a secret that contains another must not leave its rest behind. Short pieces would mask words.
        self._pieces = sorted((piece for piece in pieces | escaped if len(piece) > 3), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for piece in self._pieces:
            text = text.replace(piece, MASK)
        return text


class ProgramOutput:
    """Cuts the two streams of one program into masked lines."""

    def __init__(self, *, mask: Masker, on_line: Callable[[str], None] | None) -> None:
        self.last: deque[str] = deque(maxlen=TAIL_LINES)
        self._mask = mask
        self._on_line = on_line
        self._whole: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        self._rest: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}

    @property
    def tail(self) -> str:
        return "\n".join(self.last)

    def text(self, name: str) -> str:
        return self._mask(b"".join(self._whole[name]).decode(errors="replace"))

    def feed(self, name: str, chunk: bytes) -> None:
        """`chunk` is empty at the end of the stream."""
        self._whole[name].append(chunk)
        rest = self._rest[name]
        rest += chunk
        if b"\n" in chunk:
            *lines, last = bytes(rest).split(b"\n")
            self._rest[name] = bytearray(last)
        else:
            lines = [bytes(rest)] if rest and not chunk else []
        for raw in lines:
            self._emit(raw.decode(errors="replace").rstrip("\r"))

    def _emit(self, line: str) -> None:
        masked = self._mask(line)
        self.last.append(masked)
        if self._on_line:
            self._on_line(masked)
