"""Which commit the working tree is at, and whether it says something else than that commit."""

from dataclasses import dataclass
from pathlib import Path

from infraflux.core.process import run

DEADLINE_S = 30.0


@dataclass(frozen=True)
class Head:
    """The state of a working tree."""

    commit: str
    """Full object id; empty where the directory is in no Git repository or nothing was committed."""
    dirty: bool
    """Files differ from the commit, untracked ones that Git does not ignore included."""

    def __str__(self) -> str:
        name = self.commit[:12] or "no commit"
        return f"{name} with local changes" if self.dirty else name


def read_head(root: Path) -> Head:
    """Ask Git; a directory outside of any repository has no commit and is not dirty."""
    git = ("git", "-C", str(root))
    # The owner check is for repositories of other users; ours is named by the operator.
    safe = ("git", "-c", f"safe.directory={root}", "-C", str(root))
    found = run([*safe, "rev-parse", "--verify", "--quiet", "HEAD"], deadline_s=DEADLINE_S)
    if found.returncode != 0:
        return Head("", False)
    status = run([*safe, "status", "--porcelain"], deadline_s=DEADLINE_S).require(
        stage="load", next_step=f"run `{' '.join(git)} status`"
    )
    return Head(found.stdout.strip(), bool(status.stdout.strip()))
