"""Git as InfraFlux uses it: tree ids, commits of single files, branches. No shell, no hooks, names after `--`."""

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infraflux.config.patterns import GIT_URL
from infraflux.core import process
from infraflux.core.errors import ErrorClass, Permanent

DEADLINE_S = 60.0
"""Local operations, and a push of one commit."""

REMOTE_DEADLINE_S = 20.0
"""One question to a remote."""

PUSH_NAMES = ("SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "GIT_ASKPASS")
"""How Git proves to a remote who it is; everything else it finds in the user's own configuration."""


@dataclass(frozen=True)
class GitRepo:
    """The repository the project lives in."""

    root: Path

    def tree_id(self, commit: str, path: str) -> str:
        """The id of a directory's content at a commit: equal content has equal ids. `path` is below the project."""
        return self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}:./{path}")

    def head(self) -> str:
        """Full id of the present commit; Permanent where there is none."""
        return self._git("rev-parse", "--verify", "--quiet", "HEAD")

    def branch(self) -> str:
        """The branch that is checked out; Permanent where a commit is."""
        return self._git("symbolic-ref", "--quiet", "--short", "HEAD")

    def changed(self, paths: Sequence[str]) -> list[str]:
        """Files below these paths that differ from the commit, untracked ones included."""
        text = self._git("status", "--porcelain", "--untracked-files=all", "--", *paths)
        return [line[3:] for line in text.splitlines()]

    def files(self) -> list[str]:
        """Every file of the working tree that Git has or would take, paths below the project."""
        text = self._git("ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", ".")
        return [name for name in dict.fromkeys(text.split("\0")) if name]

    def changed_between(self, before: str, after: str, path: str) -> list[str]:
        """Files below a directory that differ between two commits. Permanent where this checkout lacks one."""
        asked = ("diff", "--name-only", "--relative", "--no-renames", "--end-of-options", before, after, "--", path)
        return self._git(*asked).splitlines()

    def commit_files(self, files: Mapping[str, str], *, message: str) -> str:
        """A commit of these file contents on top of the present one; nothing points at it yet, and the working tree
        stays as it is. Its id."""
        prefix = self._git("rev-parse", "--show-prefix")
        with tempfile.TemporaryDirectory(prefix="infraflux-git-") as scratch:
            env = {"GIT_INDEX_FILE": f"{scratch}/index"}
            self._git("read-tree", "HEAD", env=env)
            for name, content in files.items():
                blob = self._git("hash-object", "-w", "--stdin", stdin=content)
                self._git("update-index", "--add", "--cacheinfo", f"100644,{blob},{prefix}{name}", env=env)
            tree = self._git("write-tree", env=env)
        return self._git("commit-tree", tree, "-p", self.head(), "-m", message, env=self._author())

    def advance(self, commit: str) -> None:
        """Move the present branch and its files forward to a commit made on top of it.

        Permanent where the branch went on meanwhile, or a file of that commit has changes of its own.
        """
        self._git("merge", "--ff-only", "--quiet", "--end-of-options", commit)

    def set_branch(self, branch: str, commit: str) -> None:
        """Let a branch, made where there is none, point at a commit."""
        self._git("branch", "--force", "--end-of-options", branch, commit)

    def push(self, remote: str, commit: str, branch: str) -> None:
        """Send a commit to a branch of a remote, forwards only. Permanent where the remote refuses it."""
        env = {name: os.environ[name] for name in PUSH_NAMES if name in os.environ} | {"GIT_TERMINAL_PROMPT": "0"}
        self._git("push", "--quiet", "--end-of-options", remote, f"{commit}:refs/heads/{branch}", env=env)

    def read(self, commit: str, path: str) -> str:
        """A file's text at a commit."""
        return self._git("show", "--end-of-options", f"{commit}:./{path}")

    def sign_tag(self, tag: str, commit: str, *, message: str) -> None:
        """A signed tag, with the signing key that Git is configured with. Permanent where there is none."""
        self._git("tag", "--sign", "--message", message, "--end-of-options", tag, commit)

    def tag_message(self, tag: str) -> str | None:
        """What an annotated tag says; None where there is no such tag."""
        asked = ["for-each-ref", "--format=%(contents)", f"refs/tags/{tag}"]
        return self._git(*asked) or None

    def verify_tag(self, tag: str) -> bool:
        """Whether Git trusts the tag's signature."""
        done = process.run([*self._argv(), "verify-tag", "--end-of-options", tag], deadline_s=DEADLINE_S)
        return done.returncode == 0

    def _author(self) -> dict[str, str]:
        """Who commits: the one Git knows, else the program itself, as on a server nobody ever logs in to."""
        known = process.run([*self._argv(), "config", "user.email"], deadline_s=DEADLINE_S)
        if known.returncode == 0:
            return {}
        return {
            f"GIT_{role}_{part}": value
            for role in ("AUTHOR", "COMMITTER")
            for part, value in (("NAME", "InfraFlux"), ("EMAIL", "infraflux@localhost"))
        }

    def archive(self, commit: str, path: str, *, target: Path) -> None:
        """Write a directory as it was at a commit below `target`."""
        bundle = target / ".archive.tar"
        self._git("archive", "--format=tar", f"--output={bundle}", "--end-of-options", commit, path)
        process.run(["tar", "-xf", bundle, "-C", target], deadline_s=DEADLINE_S).require(stage="git")
        bundle.unlink()

    def _argv(self) -> list[str]:
        # The owner check is for repositories of other users; ours is named by the operator.
        safe = ("-c", f"safe.directory={self.root}", "-c", "core.hooksPath=/dev/null")
        return ["git", *safe, "-C", str(self.root)]

    def _git(self, *words: str, stdin: str | None = None, env: dict[str, str] | None = None) -> str:
        done = process.run([*self._argv(), *words], deadline_s=DEADLINE_S, stdin=stdin, env=env)
        if done.returncode != 0:
            raise Permanent(
                f"git {words[0]} failed: {done.stderr.strip() or 'no such object'}",
                stage="git",
                error_class=ErrorClass.USER,
                next_step="see `git status` in the project",
            )
        return done.stdout.strip("\n")


def remote_url(root: Path) -> str:
    """Where the remote `origin` is, without user and password; empty where there is none that a cluster can read."""
    asked = ("git", "-c", f"safe.directory={root}", "-C", str(root), "remote", "get-url", "origin")
    found = process.run(asked, deadline_s=DEADLINE_S)
    url = re.sub(r"^(https?://)[^/@]*@", r"\1", found.stdout.strip()) if found.returncode == 0 else ""
    return url if re.match(GIT_URL.regex, url) else ""


def remote_commit(url: str, revision: str) -> str:
    """The commit of a branch or tag at a repository; empty where it does not answer, or has none of that name."""
    asked = ("git", "ls-remote", "--end-of-options", url, f"refs/heads/{revision}", f"refs/tags/{revision}")
    env = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    found = process.run(asked, env=env, deadline_s=REMOTE_DEADLINE_S)
    return found.stdout.split("\t", 1)[0] if found.returncode == 0 else ""
