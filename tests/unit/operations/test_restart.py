"""Machines start anew one after the other: in order, proven, resumed where a run was killed, stopped at a failure."""

from dataclasses import replace
from pathlib import Path

import pytest
from fakes.plans import spec_of_five
from fakes.restarts import CP1, CP2, CP3, W1, W2, World, make_world

from infraflux.adapters.kubernetes.facts import KubernetesNode
from infraflux.config.models.policy import Disruption, DrainTimeout
from infraflux.core.errors import ErrorClass
from infraflux.core.outcomes import Noop
from infraflux.operations.plan.actions import Action, ChangeMachine, Field, RestartNode, ReturnNode
from infraflux.operations.plan.node_decisions import WorldMoved
from infraflux.operations.restart import node_problem
from infraflux.operations.rollout import RolloutStopped


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def restart(name: str, **options: str) -> RestartNode:
    """A planned restart that brings these values into force."""
    fields = tuple(Field(path=path, before="2048", after=after) for path, after in options.items())
    return RestartNode(object=name, node=name, change="x", why="y", disruption=Disruption.NODE_RESTART, fields=fields)


def back(name: str) -> ReturnNode:
    return ReturnNode(object=name, node=name, change="x", why="y")


def cycle(name: str) -> list[str]:
    return [f"drain {name}", f"shut down {name}", f"start {name}", f"take back {name}"]


def waits(world: World, *names: str) -> list[RestartNode]:
    for name in names:
        world.power.wait(name, memory="2048")
    return [restart(name, memory="4096") for name in names]


def test_one_after_the_other_control_planes_first_each_drained_and_taken_back(world: World):
    world.run(*waits(world, W2, CP3, CP1, W1))
    assert world.log == [*cycle(CP1), *cycle(CP3), *cycle(W1), *cycle(W2)]
    assert {one.memory_mib for one in world.power.nodes()} == {3891}


def test_nothing_is_asked_where_the_plan_touches_no_machine(world: World):
    assert all(isinstance(one, Noop) for one in world.run().values())
    assert world.log == []


def test_a_machine_that_started_meanwhile_is_only_proven_and_taken_back(world: World):
    world.run(restart(W1, memory="4096"))
    assert world.log == [f"take back {W1}"]


def test_a_machine_that_a_killed_run_left_off_is_started_before_etcd_is_asked(world: World):
    world.power.off.add(CP2)
    world.power.talos.machine(CP2).powered = False
    world.run(*waits(world, CP1), restart(CP2, memory="4096"))
    assert world.log == [f"start {CP2}", *cycle(CP1), f"take back {CP2}"]


def test_a_node_that_a_killed_run_left_cordoned_is_taken_back_and_not_drained_again(world: World):
    world.run(back(W1))
    assert world.log == [f"take back {W1}"]


def test_one_that_does_not_power_off_stops_the_rest(world: World):
    world.power.deaf.add(W1)
    with pytest.raises(RolloutStopped, match=f"stopped at {W1}: .*got timeout; {W1} is out of service.*: {W2}") as told:
        world.run(*waits(world, W1, W2))
    assert world.log == [f"drain {W1}", f"shut down {W1}"]
    assert told.value.retryable


def test_one_that_does_not_power_off_is_switched_off_where_that_is_declared(world: World):
    world.power.deaf.add(W1)
    world.rules = {"on_shutdown_timeout": DrainTimeout.FORCE}
    world.run(*waits(world, W1))
    assert world.log == [f"drain {W1}", f"shut down {W1} by force", f"start {W1}", f"take back {W1}"]


def test_one_that_does_not_become_ready_stops_the_rest_and_stays_out_of_service(world: World):
    world.power.broken.add(CP1)
    with pytest.raises(RolloutStopped, match=f"stopped at {CP1}: .*it is NotReady.*not touched: {CP2}"):
        world.run(*waits(world, CP1, CP2))
    assert world.log == [f"drain {CP1}", f"shut down {CP1}", f"start {CP1}"]


def test_one_that_came_back_with_the_old_hardware_is_no_success(world: World):
    world.power.kept.add(W1)
    with pytest.raises(RolloutStopped, match=f"stopped at {W1}: .*counts 1945 MiB of memory, of 4096 MiB"):
        world.run(*waits(world, W1))
    assert f"take back {W1}" not in world.log


def test_no_control_plane_is_touched_while_etcd_is_incomplete(world: World):
    world.power.talos.members.remove(CP3)
    with pytest.raises(RolloutStopped, match=r"etcd is incomplete; .*dev-1-cp-3 is no etcd member"):
        world.run(*waits(world, CP1))
    assert world.log == []


def test_as_many_workers_at_once_as_are_declared(world: World):
    world.rules = {"max_unavailable": 2}
    world.run(*waits(world, W1, W2))
    assert sorted(world.log) == sorted([*cycle(W1), *cycle(W2)])


UNPLANNED = {
    "a machine that the plan changed and did not expect to wait": (
        [ChangeMachine(object=W1, node=W1, change="x", why="y", fields=(Field(path="p", before="", after=""),))],
        f"the machine of {W1} waits for a restart that is not in the plan: memory: 2048 → 4096 MiB",
    ),
    "another value than was planned": (
        [restart(W1, memory="3072")],
        f"the machine of {W1} waits .* not in the plan: memory: 2048 → 4096 MiB",
    ),
}


@pytest.mark.parametrize(("actions", "words"), UNPLANNED.values(), ids=UNPLANNED)
def test_more_than_was_planned_is_not_done(world: World, actions: list[Action], words: str):
    world.power.wait(W1, memory="2048")
    with pytest.raises(WorldMoved, match=words) as told:
        world.run(*actions)
    assert world.log == []
    assert told.value.error_class is ErrorClass.CONFLICT


LIVE = KubernetesNode(name=W1, ready=True, addresses=(), kubelet_version="", boot_id="2", cores=2, memory_mib=3900)
PROOFS = {
    "as wanted": (LIVE, ""),
    "not there": (None, "it is not registered"),
    "the same boot": (replace(LIVE, boot_id="1"), "its kubelet has not reported since the start"),
    "NotReady": (replace(LIVE, ready=False), "it is NotReady"),
    "other cores": (replace(LIVE, cores=1), "its kubelet counts 1 cores, not 2"),
    "less memory": (replace(LIVE, memory_mib=1950), "its kubelet counts 1950 MiB of memory, of 4096 MiB"),
    "more memory": (replace(LIVE, memory_mib=8000), "its kubelet counts 8000 MiB of memory, of 4096 MiB"),
}  # fmt: skip


@pytest.mark.parametrize(("live", "problem"), PROOFS.values(), ids=PROOFS)
def test_what_is_a_proof(live: KubernetesNode | None, problem: str):
    node = spec_of_five().node(W1)
    assert node_problem(node, live, "1") == problem
