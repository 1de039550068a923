"""Git as the lab runs it: without the user's configuration, with a fixed author, never asking."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

AUTHOR = {"NAME": "InfraFlux lab", "EMAIL": "lab@infraflux.invalid"}
_TIMEOUT_S = 60.0


class GitError(RuntimeError):
    """A Git command failed; carries its words."""


def git_environment(**more: str) -> dict[str, str]:
    """Only what Git needs: hooks, signing and aliases of the user stay out."""
    identity = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in AUTHOR.items()}
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        **identity,
        **more,
    }


async def git(*arguments: str, environment: Mapping[str, str] | None = None, accept: tuple[int, ...] = (0,)) -> str:
    """Run Git and return what it said, without the line end; GitError for another exit code than `accept`."""
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        env=git_environment(**(environment or {})),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, words = await asyncio.wait_for(process.communicate(), _TIMEOUT_S)
    if process.returncode not in accept:
        raise GitError(f"git {arguments[0]}: {words.decode(errors='replace').strip()}")
    return output.decode().rstrip("\n")


async def init_bare(path: Path) -> None:
    """Make a bare repository with the branch `main`, unless it is there."""
    if not (path / "HEAD").exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        await git("init", "--quiet", "--bare", "--initial-branch=main", str(path))
