"""`kubectl` for what it does best: cordon, drain by eviction, uncordon. One node at a time.

Drain evicts through the API, so PodDisruptionBudgets hold; pods of DaemonSets and static pods stay
(https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from infraflux.core import process
from infraflux.core.errors import ErrorClass, Permanent, Retryable

CALL_DEADLINE_S = 30.0
_GRACE_S = 30.0
"""What kubectl needs around its own timeout: listing pods before, ending after."""
_HELD = re.compile(r'error when evicting pods?/"?([\w.-]+)"? -n "?([\w-]+)"?.*disruption budget')
"""kubectl v1.36, pkg/drain/drain.go: `error when evicting pods/%q -n %q (will retry after 5s): %v`."""


_ENDING = re.compile(r'error when waiting for pod "([\w.-]+)" in namespace "([\w-]+)" to terminate')
"""The same file: evicted, and not gone within the time."""


class DrainHeld(Permanent):
    """Pods were not off the node in time; the message names them."""

    default_class = ErrorClass.CONFLICT


class Runner(Protocol):
    """`infraflux.core.process.run`, or a fake of it."""

    def __call__(
        self, argv: Sequence[str | Path], *, deadline_s: float, on_line: Callable[[str], None] | None = None
    ) -> process.Completed: ...


@dataclass(frozen=True, kw_only=True)
class Kubectl:
    """Calls of one cluster."""

    binary: Path
    kubeconfig: Path
    cluster: str
    runner: Runner = process.run

    def cordon(self, node: str) -> None:
        """No new pods on the node; again: nothing happens."""
        self._require(self._call("cordon", node), node=node, doing="cordoning")

    def uncordon(self, node: str) -> None:
        """New pods may come again; again: nothing happens."""
        self._require(self._call("uncordon", node), node=node, doing="uncordoning")

    def drain(self, node: str, *, timeout_s: int, force_after: bool = False) -> None:
        """Cordon the node and evict its pods. Raises DrainHeld naming the pods that were not off it in time.

        `force_after` then deletes what is left, in spite of budgets, and pods that no controller would make again too.
        """
        words = ["drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", f"--timeout={timeout_s}s"]
        done = self._call(*words, deadline_s=timeout_s + _GRACE_S)
        if done.returncode and force_after:
            done = self._call(*words, "--disable-eviction", deadline_s=timeout_s + _GRACE_S)
        if done.returncode and (held := held_pods(done.stderr)):
            raise self._held(node, f"a PodDisruptionBudget holds {', '.join(held)}", timeout_s=timeout_s)
        if done.returncode and (ending := ending_pods(done.stderr)):
            raise self._held(node, f"{', '.join(ending)} did not end", timeout_s=timeout_s)
        self._require(done, node=node, doing="draining")

    def _held(self, node: str, why: str, *, timeout_s: int) -> DrainHeld:
        return DrainHeld(
            f"{node} could not be drained in {timeout_s} s: {why}",
            cluster=self.cluster,
            stage="drain",
            next_step="scale the workload up or change its budget, then run again; the node stays cordoned"
            f" (`kubectl uncordon {node}` takes it back), policy.rollout says how long and what then",
        )

    def _call(self, *words: str, deadline_s: float = CALL_DEADLINE_S) -> process.Completed:
        return self.runner([self.binary, "--kubeconfig", self.kubeconfig, *words], deadline_s=deadline_s)

    def _require(self, done: process.Completed, *, node: str, doing: str) -> None:
        if done.returncode == 0:
            return
        message = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise Retryable(
            f"{doing} {node} failed: {message[0][-300:]}",
            cluster=self.cluster,
            stage="drain",
            next_step=f"look at `kubectl describe node {node}`, then run again",
        )


def held_pods(stderr: str) -> list[str]:
    """`namespace/pod` of every pod that a budget held back, as kubectl wrote it (pure)."""
    return list(dict.fromkeys(f"{found[2]}/{found[1]}" for found in _HELD.finditer(stderr)))


def ending_pods(stderr: str) -> list[str]:
    """`namespace/pod` of every pod that was evicted and still there at the end (pure)."""
    return list(dict.fromkeys(f"{found[2]}/{found[1]}" for found in _ENDING.finditer(stderr)))
