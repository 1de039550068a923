"""The real git client against the server."""

import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from infraflux_lab.gitops.git import GitError, git
from infraflux_lab.gitops.git_server import GitServer, ensure_credential
from infraflux_lab.gitops.repositories import Seed, import_tree

pytestmark = pytest.mark.anyio
ADDRESS = f"127.{os.environ.get('INFRAFLUX_TEST_OCTET', '78')}.84.3"
PORT = 28881


@pytest.fixture
async def pushed() -> list[str]:
    return []


@pytest.fixture
async def server(tmp_path: Path, events: Any, pushed: list[str]) -> AsyncIterator[GitServer]:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a.txt").write_text("a\n")
    (tree / "large.bin").write_bytes(os.urandom(3 << 20))
    for name in ("open", "closed"):
        await import_tree(tmp_path / "git" / f"{name}.git", Seed(name=name, directory=tree))

    async def told(name: str) -> None:
        pushed.append(name)

    async def reading(name: str) -> None:
        await import_tree(tmp_path / "git" / f"{name}.git", Seed(name=name, directory=tree))

    made = GitServer(
        address=ADDRESS,
        root=tmp_path / "git",
        private={"open": False, "closed": True},
        credential=ensure_credential(tmp_path / "credentials" / "git"),
        events=events,
        pushed=told,
        reading=reading,
        port=PORT,
    )
    await made.start()
    yield made
    await made.stop()


def _with(credential: str, url: str) -> str:
    return url.replace("http://", f"http://{credential}@")


async def test_reading_pushing_and_reading_again(server: GitServer, tmp_path: Path, pushed: list[str]) -> None:
    credential = ensure_credential(tmp_path / "credentials" / "git")
    clone = tmp_path / "clone"
    await git("clone", "--quiet", server.url("open"), str(clone))
    (clone / "b.bin").write_bytes(os.urandom(3 << 20))
    await git("-C", str(clone), "add", "b.bin")
    await git("-C", str(clone), "commit", "--quiet", "--message", "b")

    with pytest.raises(GitError):
        await git("-C", str(clone), "push", "--quiet", server.url("open"), "main")
    assert pushed == []
    await git("-C", str(clone), "push", "--quiet", _with(credential, server.url("open")), "main")

    assert pushed == ["open"]
    await git("clone", "--quiet", server.url("open"), str(tmp_path / "again"))
    assert (tmp_path / "again" / "b.bin").read_bytes() == (clone / "b.bin").read_bytes()


async def test_a_private_repository_needs_the_credential(server: GitServer, tmp_path: Path, events: Any) -> None:
    credential = ensure_credential(tmp_path / "credentials" / "git")

    for wrong in (server.url("closed"), _with("infraflux:wrong", server.url("closed"))):
        with pytest.raises(GitError):
            await git("ls-remote", wrong)
    assert ("git refused", {"repository": "closed"}) in events.seen
    assert credential.partition(":")[2] not in str(events.seen)

    assert "refs/heads/main" in await git("ls-remote", _with(credential, server.url("closed")))


@pytest.mark.parametrize("path", ["missing.git", "..%2fcredentials.git"])
async def test_what_is_not_served_is_not_there(server: GitServer, path: str) -> None:
    with pytest.raises(GitError):
        await git("ls-remote", f"http://{ADDRESS}:{PORT}/{path}")


def test_the_credential_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "credentials" / "git"

    first = ensure_credential(path)

    assert ensure_credential(path) == first
    user, _, password = first.partition(":")
    assert (user, len(password) >= 24) == ("infraflux", True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_reader_sees_the_project_as_it_is_now(server: GitServer, tmp_path: Path) -> None:
    (tmp_path / "tree" / "a.txt").write_text("edited\n")
    clone = tmp_path / "clone"
    await git("clone", "--quiet", server.url("open"), str(clone))
    assert (clone / "a.txt").read_text() == "edited\n"
