"""A checkout with a lab that is dressed up as somebody's site, and nothing deployed on it."""

from collections.abc import Iterator

import pytest
from fakes.projects import commit_all, git
from labkit.dressed import Dressed, dress_up
from labkit.project import project_with_lab


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dressed]:
    root = tmp_path_factory.mktemp("init") / "project"
    with project_with_lab(root, change=lambda made: dress_up(made.root, net=made.net)) as project:
        (root / ".gitignore").write_text("/.infraflux/\n")
        git(root, "init", "-q", "-b", "main")
        commit_all(root)
        yield Dressed(project)
