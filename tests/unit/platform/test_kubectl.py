"""Draining by kubectl: what its words mean, and what is done when the time is up."""

from pathlib import Path

import pytest

from infraflux.adapters.kubectl import DrainHeld, Kubectl, ending_pods, held_pods
from infraflux.core.errors import Retryable
from infraflux.core.process import Completed

# Printed by kubectl v1.36.3 against a real API server with a real PodDisruptionBudget.
HELD = (
    'error when evicting pods/"web-84cd44fcbb-922dt" -n "default" (will retry after 5s): Cannot evict pod as it would'
    " violate the pod's disruption budget.\n"
    'error when evicting pods/"web-84cd44fcbb-m97g4" -n "default" (will retry after 5s): Cannot evict pod as it would'
    " violate the pod's disruption budget.\n"
    'error when evicting pods/"web-84cd44fcbb-922dt" -n "default": global timeout reached: 8s\n'
)
ENDING = (
    'error when waiting for pod "cert-manager-webhook-f557649d-45wf5" in namespace "cert-manager" to terminate:'
    " context deadline exceeded\n"
)


class FakeKubectl:
    """Answers one after the other; remembers what it was asked."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        self.answers = list(answers)
        self.asked: list[list[str]] = []

    def __call__(self, argv, *, deadline_s, on_line=None):
        self.asked.append([str(word) for word in argv])
        code, stderr = self.answers.pop(0)
        return Completed(argv=("kubectl",), returncode=code, stdout="", stderr=stderr, elapsed_s=0.0)


def kubectl(runner: FakeKubectl) -> Kubectl:
    return Kubectl(binary=Path("kubectl"), kubeconfig=Path("kc"), cluster="dev/dev-1", runner=runner)


def test_pods_that_a_budget_holds_are_read_once_each():
    assert held_pods(HELD) == ["default/web-84cd44fcbb-922dt", "default/web-84cd44fcbb-m97g4"]
    assert ending_pods(ENDING) == ["cert-manager/cert-manager-webhook-f557649d-45wf5"]


OUTCOMES = {
    "a budget": (HELD, DrainHeld, "a PodDisruptionBudget holds default/web-84cd44fcbb-922dt"),
    "a pod that does not end": (ENDING, DrainHeld, "cert-manager/cert-manager-webhook-f557649d-45wf5 did not end"),
    "no answer": ("Unable to connect to the server: EOF", Retryable, "draining n failed: Unable to connect"),
}


@pytest.mark.parametrize(("stderr", "kind", "message"), OUTCOMES.values(), ids=OUTCOMES.keys())
def test_a_drain_that_fails_says_why_and_leaves_the_node_cordoned(stderr, kind, message):
    with pytest.raises(kind, match=message) as caught:
        kubectl(FakeKubectl((1, stderr))).drain("n", timeout_s=8)
    if kind is DrainHeld:
        assert "kubectl uncordon n" in caught.value.next_step


def test_pods_are_evicted_first_and_deleted_only_where_the_policy_says_so():
    runner = FakeKubectl((1, HELD), (0, ""))
    kubectl(runner).drain("n", timeout_s=8, force_after=True)
    first, second = runner.asked
    assert "--disable-eviction" not in first
    assert "--disable-eviction" in second
    assert "--timeout=8s" in first
