"""JSON patches, as older guides show them, and what to write instead.

Talos: "JSON6902 patches are not supported for multi-document machine configuration" (configpatcher/apply.go), and
since Talos 1.12 every machine config has several documents.
"""

from collections.abc import Mapping
from typing import Any

WRONG = "is a JSON patch, which Talos no longer accepts"


def is_json_patch(value: Any) -> bool:
    """Whether it is a list of operations."""
    return isinstance(value, list) and bool(value) and all(isinstance(one, Mapping) and "op" in one for one in value)


def instead(operations: Any) -> str:
    """The strategic merge patches that say the same, each without its values."""
    shown = ", ".join(dict.fromkeys(f"`{text}`" for one in operations if (text := _strategic(one))))
    return f"write {shown or 'a strategic merge patch'} instead"


def _strategic(operation: Mapping[str, Any]) -> str:
    """`machine: {time: {$patch: delete}}` for the removal of /machine/time; a list is shown whole."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in str(operation.get("path", "")).split("/")[1:]]
    at = next((index for index, part in enumerate(parts) if part.isdigit() or part == "-"), None)
    keys = parts[:at]
    if len(keys) < 2:
        return ""
    inner = "[...]" if at is not None else "{$patch: delete}" if operation["op"] == "remove" else "..."
    for key in reversed(keys[1:]):
        inner = f"{{{key}: {inner}}}"
    return f"{keys[0]}: {inner}"
