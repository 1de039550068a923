"""Terraform command lines, built by python-terraform and run by `infraflux.core.process`.

python-terraform's own `apply` and `destroy` do not work with Terraform >= 1.0 and it is not safe with threads, so only
its option spelling is used here; running through it, or calling a command it does not know, is an error.
"""

from pathlib import Path
from typing import Any, NoReturn

import python_terraform

FLAG = python_terraform.IsFlagged
"""An option without a value."""


class ArgvBuilder(python_terraform.Terraform):  # type: ignore[misc] # the library carries no types
    """`ArgvBuilder(binary=..., directory=...).argv("plan", "x", input=False)`: -> the words of one command."""

    def __init__(self, *, binary: Path, directory: Path) -> None:
        super().__init__(terraform_bin_path=str(binary))
        self.directory = directory

    def argv(self, command: str, *arguments: str, **options: Any) -> list[str]:
        """The words: `binary -chdir=DIR command -option=value ... arguments`.

        ValueError for a dictionary: the library would put backend settings, and so secrets, on the command line.
        """
        for name, value in options.items():
            if isinstance(value, dict):
                raise ValueError(f"-{name} takes a file, not values on the command line")
        words: list[str] = self.generate_cmd_string(command, *arguments, **options)
        return [words[0], f"-chdir={self.directory}", *words[1:]]

    def cmd(self, cmd: str, *_args: Any, **_options: Any) -> NoReturn:
        """Refused: processes are run in one place."""
        raise NotImplementedError(f"terraform {cmd} is run by infraflux.core.process")

    def read_state_file(self, file_path: str | None = None) -> None:
        """Not read: the library would look for a state in the current directory."""

    def __getattr__(self, item: str) -> NoReturn:
        """Refused: the library would run any misspelt name as a command."""
        raise AttributeError(item)
