"""The lab as a package that may be absent: found by its entry points, so that nothing here imports it."""

from importlib.metadata import entry_points
from typing import Any

from infraflux.core.errors import ErrorClass, Permanent

GROUP = "infraflux.lab"


def load(name: str) -> Any:
    """What the lab's package offers under this name; Permanent where the package is not installed."""
    for entry in entry_points(group=GROUP, name=name):
        return entry.load()
    raise Permanent(
        "the lab is not installed here",
        stage="lab",
        error_class=ErrorClass.USER,
        next_step="install it with `uv sync --group lab`; clusters on your own hardware do not need it",
    )
