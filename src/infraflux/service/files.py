"""Small reads and writes of the service's own files."""

import json
from pathlib import Path
from typing import Any

from infraflux.core.files import write_private


def write_if_changed(path: Path, text: str) -> bool:
    """Write `text` (0600, atomic); False where the file already says so."""
    if path.is_file() and path.read_text() == text:
        path.chmod(0o600)
        return False
    write_private(path, text)
    return True


def write_json(path: Path, value: Any) -> bool:
    return write_if_changed(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def read_json(path: Path) -> Any:
    """The value in the file, or None where there is no readable one."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
