"""Difference between two machine configurations, as a dry run shows it."""

import difflib


def unified(current: bytes, wanted: bytes) -> str:
    """Unified diff of the two texts; `No changes.` if there is none."""
    before, after = current.decode().splitlines(), wanted.decode().splitlines()
    lines = list(difflib.unified_diff(before, after, fromfile="current", tofile="wanted", lineterm=""))
    return "\n".join(lines) if lines else "No changes."
