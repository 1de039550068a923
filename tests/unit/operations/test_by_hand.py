"""What is asked for by hand is done in order, keeps etcd's majority, and goes on where it was interrupted."""

from pathlib import Path

import pytest
from fakes.restarts import CP1, CP2, CP3, W1, W2, World, make_world

from infraflux.adapters.kubernetes.facts import BY_HAND, MAINTENANCE
from infraflux.core.errors import Permanent, Retryable
from infraflux.core.outcomes import Noop
from infraflux.operations import by_hand
from infraflux.operations.maintenance import in_maintenance
from infraflux.operations.plan.actions import Action, DrainNode, ResetNode, RestartNode, ReturnNode, StartNode, StopNode


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def ask(kind: type[Action], *names: str) -> list[Action]:
    return [kind(object=name, node=name, change="x", why="y") for name in names]


def test_a_restart_by_hand_needs_nothing_that_waits(world: World):
    world.run(RestartNode(object=W1, node=W1, change="x", why="y", always=True))
    assert world.log == [f"drain {W1}", f"shut down {W1}", f"start {W1}", f"take back {W1}"]


def test_a_drained_node_is_marked_so(world: World):
    world.run(*ask(DrainNode, W1), step=by_hand.drain_nodes)
    assert world.log == [f"drain {W1} for {BY_HAND}"]


def test_who_asks_for_it_takes_back_what_anybody_drained(world: World):
    seen = []
    world.take_back = lambda name, *, mark="": seen.append((name, mark)) or Noop("x")  # type: ignore[method-assign]
    world.run(ReturnNode(object=W1, node=W1, change="x", why="y", whoever=True))
    assert seen == [(W1, None)]


def stop(name: str) -> list[str]:
    return [f"drain {name} for {MAINTENANCE}", f"shut down {name}"]


def test_a_host_is_emptied_one_after_the_other(world: World):
    world.run(*ask(StopNode, W1, W2, CP3), step=by_hand.stop_nodes)
    assert world.log == [*stop(W1), *stop(W2), *stop(CP3)]


def test_what_a_killed_run_shut_down_is_passed_over(world: World):
    world.power.off.add(W1)
    world.run(*ask(StopNode, W1, W2), step=by_hand.stop_nodes)
    assert world.log == stop(W2)


def test_no_control_plane_goes_off_when_etcd_would_lose_its_majority(world: World):
    world.power.talos.machine(CP1).powered = False
    with pytest.raises(Permanent, match=f"{CP3} cannot go: 1 of 3 etcd members would be healthy, 2 are needed"):
        world.run(*ask(StopNode, W1, CP3), step=by_hand.stop_nodes)
    assert world.log == stop(W1)


def test_one_that_does_not_power_off_stops_the_rest(world: World):
    world.power.deaf.add(W1)
    with pytest.raises(Retryable, match="got timeout"):
        world.run(*ask(StopNode, W1, W2), step=by_hand.stop_nodes)
    assert world.log == stop(W1)


def test_all_are_started_before_any_is_waited_for(world: World):
    for name in (CP1, W1):
        world.power.off.add(name)
        world.power.talos.machine(name).powered = False
    world.run(*ask(StartNode, W1, CP1), step=by_hand.start_nodes)
    assert world.log == [f"start {CP1}", f"start {W1}", f"take back {CP1}", f"take back {W1}"]


def test_a_wiped_node_has_left_before(world: World):
    world.run(*ask(ResetNode, CP2), step=by_hand.reset_nodes)
    assert world.log == [f"drain {CP2}", f"forget {CP2}"]
    assert world.power.talos.members == [CP1, CP3]
    wiped = world.power.talos.machine(CP2)
    assert (wiped.config, wiped.powered) == ("", True)
    [words] = [one for one in world.power.talos.argv if one[0] == "reset"]
    assert {"--system-labels-to-wipe=STATE", "--system-labels-to-wipe=EPHEMERAL", "--reboot"} <= set(words)


def test_a_node_that_a_killed_run_wiped_is_not_wiped_again(world: World):
    world.power.talos.machine(W1).config = ""
    assert isinstance(world.run(*ask(ResetNode, W1), step=by_hand.reset_nodes)[W1], Noop)
    assert world.log == []


@pytest.mark.parametrize("step", [by_hand.drain_nodes, by_hand.stop_nodes, by_hand.start_nodes, by_hand.reset_nodes])
def test_a_step_without_an_action_does_nothing(world: World, step):
    assert all(isinstance(one, Noop) for one in world.run(step=step).values())
    assert world.log == []


def test_who_is_off_is_remembered_until_it_is_back(world: World):
    state = world.opened.state
    world.run(*ask(StopNode, W1, W2), step=by_hand.stop_nodes)
    assert in_maintenance(state) == {W1, W2}
    world.run(*ask(StartNode, W1), step=by_hand.start_nodes)
    assert in_maintenance(state) == {W2}
