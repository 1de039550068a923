"""`infraflux lab`: the commands of the lab's own package, with the programs that this project has installed."""

from pathlib import Path

from infraflux.adapters.tools.locate import this_machine
from infraflux.cli import lab_package


def find_program(name: str) -> Path | None:
    """Where an installed program is; None where it is missing."""
    return this_machine().find(name).path


lab_package.load("use_programs")(find_program)
app = lab_package.load("app")
up = lab_package.load("up")
down = lab_package.load("down")
installed_programs = lab_package.load("installed_programs")
