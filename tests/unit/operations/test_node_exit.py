"""Draining marks who cordoned a node; only its own mark is taken back."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infraflux.adapters.kubernetes.facts import BY_HAND, OUT_OF_SERVICE, ROLLING
from infraflux.config.models.policy import Rollout
from infraflux.operations.leaving import NodeExit

NAME = "dev-1-worker-1"


@dataclass
class FakeNode:
    """One Node object, behind the API and behind kubectl."""

    cordoned: bool = False
    mark: str | None = None
    there: bool = True
    held: bool = False
    calls: list[str] = field(default_factory=list)

    def read(self, _ref: Any) -> dict[str, Any] | None:
        marks = {OUT_OF_SERVICE: self.mark} if self.mark else {}
        node = {"metadata": {"name": NAME, "annotations": marks}, "spec": {"unschedulable": self.cordoned}}
        return node if self.there else None

    def annotate(self, ref: Any, annotations: dict[str, str]) -> None:
        self.merge(ref, {"metadata": {"annotations": annotations}})

    def merge(self, _ref: Any, body: dict[str, Any]) -> None:
        self.mark = body["metadata"]["annotations"][OUT_OF_SERVICE]

    def close(self) -> None:
        pass

    def drain(self, _name: str, **_more: Any) -> None:
        self.calls.append(f"drained as {self.mark}")
        self.cordoned = True

    def uncordon(self, _name: str) -> None:
        self.calls.append("uncordoned")
        self.cordoned = False


def service(node: FakeNode) -> NodeExit:
    cluster = cast(Any, SimpleNamespace(log=lambda _line: None))
    return NodeExit(cluster=cluster, kubectl=cast(Any, node), rules=Rollout(), connect=lambda: cast(Any, node))


ROLLOUTS = {
    "in service before": (None, False, False),
    "left out of service by a killed run": (ROLLING, True, False),
    "cordoned by somebody": (None, True, True),
    "out of service by hand": (BY_HAND, True, True),
    "a mark that a killed run left": (ROLLING, False, False),
}


@pytest.mark.parametrize(("mark", "cordoned", "cordoned_after"), ROLLOUTS.values(), ids=ROLLOUTS)
def test_a_rollout_leaves_a_node_as_others_left_it(mark: str | None, cordoned: bool, cordoned_after: bool) -> None:
    node = FakeNode(cordoned=cordoned, mark=mark)
    leave = service(node)
    leave.drain(NAME)
    leave.take_back(NAME)
    assert (node.cordoned, node.mark) == (cordoned_after, mark if cordoned_after else None)


def test_it_is_marked_before_it_is_drained() -> None:
    node = FakeNode()
    service(node).drain(NAME)
    assert node.calls == [f"drained as {ROLLING}"]


def test_a_node_in_service_is_left_alone() -> None:
    node = FakeNode()
    assert str(service(node).take_back(NAME)) == f"nothing to do: {NAME} is in service"
    assert node.calls == []


def test_a_node_that_is_gone_is_drained_and_not_marked() -> None:
    node = FakeNode(there=False)
    service(node).drain(NAME)
    assert node.mark is None
