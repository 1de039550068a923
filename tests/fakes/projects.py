"""A small project in a repository of its own: the shipped configuration, little trees."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def git(root: Path, *words: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    done = subprocess.run(["git", "-C", root, *identity, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit_all(root: Path, message: str = "change") -> str:
    git(root, "add", "-A")
    git(root, "commit", "-qm", message)
    return git(root, "rev-parse", "HEAD")


def make_project(root: Path) -> Path:
    """The shipped fleet with small trees and no release yet, committed."""
    for name in ("config", "clusters"):
        shutil.copytree(ROOT / name, root / name)
    for name in ("terraform", "platform"):
        (root / name).mkdir()
        (root / name / "main.txt").write_text(name)
    (root / ".gitignore").write_text("/.infraflux/\n")
    git(root.parent, "init", "-q", "-b", "main", str(root))
    git(root, "config", "user.name", "t")
    git(root, "config", "user.email", "t@example.org")
    commit_all(root)
    return root
