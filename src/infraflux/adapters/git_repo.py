"""Git as InfraFlux uses it: tree ids, commits of single files, branches. No shell, no hooks, names after `--`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infraflux.adapters import process
from infraflux.config.errors import ErrorClass, Permanent

DEADLINE_S = 60.0
"""Local operations on the project's repository; nothing here goes over a network."""


@dataclass(frozen=True)
class GitRepo:
    """The repository the project lives in."""

    root: Path

    def tree_id(self, commit: str, path: str) -> str:
        """The id of a directory's content at a commit: equal content has equal ids."""
        return self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}:{path}")

    def head(self) -> str:
        """Full id of the present commit; Permanent where there is none."""
        return self._git("rev-parse", "--verify", "--quiet", "HEAD")

    def changed(self, paths: Sequence[str]) -> list[str]:
        """Files below these paths that differ from the commit, untracked ones included."""
        text = self._git("status", "--porcelain", "--untracked-files=all", "--", *paths)
        return [line[3:] for line in text.splitlines()]

    def commit(self, paths: Sequence[str], *, message: str) -> str:
        """Commit exactly these files on the present branch, whatever else is changed; the new commit's id."""
        self._git("add", "--", *paths)
        self._git("commit", "--quiet", "--only", "--no-verify", "-m", message, "--", *paths)
        return self.head()

    def commit_on_branch(self, branch: str, files: dict[str, str], *, message: str) -> str:
        """A commit of these file contents on a new branch from the present commit; the working tree stays as it is."""
        index = self.root / ".git" / f"infraflux-{branch.replace('/', '-')}.index"
        env = {"GIT_INDEX_FILE": str(index)}
        try:
            self._git("read-tree", "HEAD", env=env)
            for name, content in files.items():
                blob = self._git("hash-object", "-w", "--stdin", stdin=content)
                self._git("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}", env=env)
            tree = self._git("write-tree", env=env)
            commit = self._git("commit-tree", tree, "-p", self.head(), "-m", message)
            self._git("branch", "--force", "--end-of-options", branch, commit)
        finally:
            index.unlink(missing_ok=True)
        return commit

    def archive(self, commit: str, path: str, *, target: Path) -> None:
        """Write a directory as it was at a commit below `target`."""
        bundle = target / ".archive.tar"
        self._git("archive", "--format=tar", f"--output={bundle}", "--end-of-options", commit, path)
        process.run(["tar", "-xf", bundle, "-C", target], deadline_s=DEADLINE_S).require(stage="git")
        bundle.unlink()

    def _git(self, *words: str, stdin: str | None = None, env: dict[str, str] | None = None) -> str:
        argv = [
            "git",
            "-c",
            f"safe.directory={self.root}",
            "-c",
            "core.hooksPath=/dev/null",
            "-C",
            str(self.root),
            *words,
        ]
        done = process.run(argv, deadline_s=DEADLINE_S, stdin=stdin, env=env)
        if done.returncode != 0:
            raise Permanent(
                f"git {words[0]} failed: {done.stderr.strip() or 'no such object'}",
                stage="git",
                error_class=ErrorClass.USER,
                next_step="see `git status` in the project",
            )
        return done.stdout.strip("\n")
