"""What every command needs first: the project the user stands in, and a place to print."""

import sys
from pathlib import Path

from rich.console import Console

from infraflux.core.errors import Permanent
from infraflux.core.paths import find_root

PIPED_WIDTH = 240


def project_root() -> Path:
    """The project at or above the working directory; Permanent where there is none."""
    try:
        return find_root(Path.cwd())
    except FileNotFoundError as error:
        raise Permanent(str(error), next_step="change into a checkout of your InfraFlux repository") from error


def console() -> Console:
    """Standard output; long lines are left to the terminal so that they can be copied whole.

    Piped output has no terminal to fit: tables get the room they need.
    """
    return Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)


def print_simulation_notice(notice: str) -> None:
    """Print what of a cluster is simulated, below what was said about it; nothing where it is real."""
    if notice:
        console().print(notice, style="dim")
