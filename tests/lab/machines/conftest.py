"""A whole project of its own, with a lab of its own addresses below it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from labkit.project import REPOSITORY, Project, project_with_lab

__all__ = ["REPOSITORY", "Project", "project"]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with project_with_lab(tmp_path / "project") as made:
        yield made
