"""What is asked for by hand: which actions, in which order, and what is refused before anything is touched."""

from collections.abc import Callable

import pytest
from fakes.plans import HANDOFF, Site, actions_of, standing

from infraflux.adapters.kubernetes.facts import BY_HAND, MAINTENANCE, OUT_OF_SERVICE
from infraflux.adapters.proxmox.facts import Guest
from infraflux.adapters.proxmox.hardware import hardware_of
from infraflux.adapters.talos.facts import NodeState
from infraflux.config.models.policy import Disruption
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.operations.plan.actions import ClusterPlan, RestartNode
from infraflux.operations.plan.by_hand import Asked, HandAction, plan_by_hand
from infraflux.operations.plan.observed import Wanted

CP1, CP2, CP3 = (f"dev-1-cp-{number}" for number in (1, 2, 3))
W1, W2 = (f"dev-1-worker-{number}" for number in (1, 2))
HERE, THERE = "pve-1", "pve-2"


def site(*here: str, off: tuple[str, ...] = ()) -> Site:
    """A cluster that stands; these nodes are on pve-1, the others on pve-2."""
    made = standing()
    for node in made.spec.nodes:
        host = HERE if node.name in here else THERE
        running = node.name not in off
        made.guests[node.name] = Guest(vm_id=node.vm_id, name=node.name, host=host, running=running)
        if not running:
            made.look(node.name, state=NodeState.SILENT)
    return made


def marked(made: Site, name: str, mark: str) -> Site:
    made.nodes[name]["spec"]["unschedulable"] = True
    made.nodes[name]["metadata"]["annotations"] = {OUT_OF_SERVICE: mark}
    return made


def plan(made: Site, action: str, *, node: str = "", host: str = "") -> ClusterPlan:
    wanted = Wanted(configs={}, fingerprints=made.fingerprints, components={}, handoff=HANDOFF)
    asked = Asked(action=HandAction(action), node=node, host=host)
    return plan_by_hand(made.spec, asked, wanted, made.observed())


def left_over(*, member: bool) -> Site:
    made = site()
    made.nodes["dev-1-cp-9"] = {"metadata": {"name": "dev-1-cp-9"}, "spec": {}}
    if member:
        made.members = [*(made.members or ()), "dev-1-cp-9"]
    return made


OUT, LEAVES = "node-restart", "node-leaves"
Row = tuple[str, str, str]
CASES: dict[str, tuple[Callable[[], Site], dict[str, str], list[Row]]] = {
    "restart": (site, {"action": "restart", "node": W1}, [("restart node", W1, OUT)]),
    "drain": (site, {"action": "drain", "node": W1}, [("drain node", W1, OUT)]),
    "uncordon what somebody drained": (
        lambda: marked(site(), W1, BY_HAND),
        {"action": "uncordon", "node": W1},
        [("return node", W1, "none")],
    ),
    "uncordon what is in service": (site, {"action": "uncordon", "node": W1}, []),
    "reset": (site, {"action": "reset", "node": CP2}, [("reset node", CP2, LEAVES), ("config", CP2, "none")]),
    "remove what only Kubernetes knows": (
        lambda: left_over(member=False),
        {"action": "remove", "node": "dev-1-cp-9"},
        [("leave", "dev-1-cp-9", LEAVES)],
    ),
    "remove a member": (
        lambda: left_over(member=True),
        {"action": "remove", "node": "dev-1-cp-9"},
        [("etcd member", "etcd member dev-1-cp-9", LEAVES), ("leave", "dev-1-cp-9", LEAVES)],
    ),
    "a host is emptied, workers first": (
        lambda: site(CP1, W1, W2),
        {"action": "maintenance-start", "host": HERE},
        [("stop node", W1, OUT), ("stop node", W2, OUT), ("stop node", CP1, OUT)],
    ),
    "what is off is off": (
        lambda: site(CP1, W1, off=(W1,)),
        {"action": "maintenance-start", "host": HERE},
        [("stop node", CP1, OUT)],
    ),
    "a host without machines": (site, {"action": "maintenance-start", "host": HERE}, []),
    "it comes back, control planes first": (
        lambda: site(CP1, W1, off=(CP1, W1)),
        {"action": "maintenance-end", "host": HERE},
        [("start node", CP1, "none"), ("start node", W1, "none")],
    ),
    "one that was started by somebody comes back into service": (
        lambda: marked(site(W1), W1, MAINTENANCE),
        {"action": "maintenance-end", "host": HERE},
        [("start node", W1, "none")],
    ),
    "the end of none": (lambda: site(W1), {"action": "maintenance-end", "host": HERE}, []),
}


@pytest.mark.parametrize(("made", "asked", "expected"), CASES.values(), ids=CASES)
def test_an_action_is_a_plan(made: Callable[[], Site], asked: dict[str, str], expected: list[Row]) -> None:
    assert actions_of(plan(made(), **asked)) == expected


def two_of_three_here() -> Site:
    return site(CP1, CP2, W1)


def one_is_silent() -> Site:
    made = site(CP1)
    made.look(CP3, state=NodeState.SILENT)
    return made


REFUSED: dict[str, tuple[Callable[[], Site], dict[str, str], str]] = {
    "a node that there is not": (site, {"action": "restart", "node": "x"}, "there is no node 'x'"),
    "a host that there is not": (site, {"action": "maintenance-start", "host": "x"}, "there is no host 'x'"),
    "a declared node is removed in Git": (site, {"action": "remove", "node": W1}, f"{W1} is declared"),
    "nothing is left of it": (site, {"action": "remove", "node": "dev-1-cp-9"}, "neither etcd nor Kubernetes knows"),
    "two of three control planes on one host": (
        two_of_three_here,
        {"action": "maintenance-start", "host": HERE},
        f"{CP1}, {CP2} cannot be shut down: 1 of 3 etcd members would be alive, 2 are needed",
    ),
    "one of three while another is away": (
        one_is_silent,
        {"action": "maintenance-start", "host": HERE},
        f"{CP1} cannot be shut down: 1 of 3 etcd members would be alive",
    ),
    "a reset while another is away": (one_is_silent, {"action": "reset", "node": CP1}, f"{CP1} cannot leave etcd"),
}


@pytest.mark.parametrize(("made", "asked", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_refused(made: Callable[[], Site], asked: dict[str, str], words: str) -> None:
    with pytest.raises(Permanent, match=words) as told:
        plan(made(), **asked)
    assert (told.value.error_class, bool(told.value.next_step)) == (ErrorClass.USER, True)


def test_a_restart_by_hand_says_what_comes_into_force() -> None:
    made = site()
    made.hardware[W1] = hardware_of([{"key": "memory", "value": "4096", "pending": "8192"}])
    [action] = plan(made, "restart", node=W1).of(RestartNode)
    assert "comes into force: memory: 4096 → 8192 MiB" in action.change
    assert action.always
    assert action.disruption is Disruption.NODE_RESTART


def remembered() -> Site:
    """The API server does not answer, as it may not while a control plane is off."""
    made = site(W1)
    made.maintenance, made.no_platform = frozenset({W1}), "decided when it can be looked at (connection refused)"
    return made


MAINTAINED = {"its Node object says so": lambda: marked(site(W1), W1, MAINTENANCE), "it is remembered": remembered}


@pytest.mark.parametrize("made", MAINTAINED.values(), ids=MAINTAINED)
def test_a_deploy_starts_no_machine_that_is_off_for_maintenance(made: Callable[[], Site]) -> None:
    with pytest.raises(Permanent, match=f"off for maintenance, .*: {W1}") as told:
        made().plan()
    assert "infraflux host maintenance dev/pve-1 end" in told.value.next_step
