"""Files that hold keys: written whole or not at all, readable by their owner only."""

import os
import tempfile
from pathlib import Path


def private_directory(path: Path) -> Path:
    """Make `path` and its missing parents with mode 0700; returns it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def write_private(path: Path, content: bytes | str) -> Path:
    """Replace `path` atomically with mode 0600; returns it."""
    private_directory(path.parent)
    data = content.encode() if isinstance(content, str) else content
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path
