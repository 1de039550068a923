"""Which nodes a plan restarts for their hardware, and which it takes back into service."""

from collections.abc import Callable

import pytest
from fakes.plans import Site, actions_of, machine, standing, summary

from infraflux.adapters.kubernetes.facts import BY_HAND, OUT_OF_SERVICE, ROLLING
from infraflux.adapters.proxmox.hardware import hardware_of
from infraflux.adapters.terraform.plan import Action as Terraform
from infraflux.adapters.terraform.plan import FieldChange
from infraflux.config.models.policy import Disruption
from infraflux.operations.plan.actions import ChangeMachine, RestartNode

CP1, CP3, W1, W2 = "dev-1-cp-1", "dev-1-cp-3", "dev-1-worker-1", "dev-1-worker-2"
MORE_MEMORY = FieldChange(path="memory[0].dedicated", before="4096", after="12288")
RESTARTS = "node-restart"


def running(site: Site, **waiting: str) -> Site:
    """Every machine runs; `waiting`: memory of the next start by node."""
    rows = {"key": "memory", "value": "4096"}
    for name in site.names():
        more = {"pending": waiting[name]} if name in waiting else {}
        site.hardware[name] = hardware_of([rows | more])
    return site


def pending(*names: str) -> Site:
    return running(standing(), **dict.fromkeys(names, "12288"))


def changed(*names: str) -> Site:
    site = running(standing())
    site.machines = summary(*(machine(name, Terraform.UPDATE, fields=(MORE_MEMORY,)) for name in names))
    return site


def off(name: str) -> Site:
    site = changed(name)
    del site.hardware[name]
    return site


def remade(name: str) -> Site:
    site = pending(name)
    site.machines = summary(machine(name, Terraform.REPLACE, machine_address="10.0.0.9"))
    return site


def cordoned(site: Site, name: str, mark: str | None) -> Site:
    site.nodes[name]["spec"]["unschedulable"] = True
    site.nodes[name]["metadata"]["annotations"] = {OUT_OF_SERVICE: mark} if mark else {}
    return site


def restart(name: str) -> tuple[str, str, str]:
    return ("restart node", name, RESTARTS)


CASES: dict[str, tuple[Callable[[], Site], list[tuple[str, str, str]]]] = {
    "nothing waits": (lambda: running(standing()), []),
    "what waits since an earlier run": (lambda: pending(W2), [restart(W2)]),
    "control planes first": (lambda: pending(W1, CP3, CP1), [restart(CP1), restart(CP3), restart(W1)]),
    "what Terraform changes in this very run": (
        lambda: changed(W1),
        [("machine", W1, "none"), restart(W1)],
    ),
    "a machine that is off takes it up when it is started": (lambda: off(W1), [("machine", W1, "none")]),
    "one that is made anew has it": (
        lambda: remade(W1),
        [("leave", W1, "node-leaves"), ("machine", W1, "node-leaves"), ("config", W1, "none")],
    ),
    "a node that a killed run left cordoned": (
        lambda: cordoned(running(standing()), W1, ROLLING),
        [("return node", W1, "none")],
    ),
    "one restart is enough for both": (lambda: cordoned(pending(W1), W1, ROLLING), [restart(W1)]),
    "a node that somebody cordoned stays so": (lambda: cordoned(running(standing()), W1, None), []),
    "a node out of service by hand stays so": (lambda: cordoned(running(standing()), W1, BY_HAND), []),
}


@pytest.mark.parametrize(("site", "expected"), CASES.values(), ids=CASES)
def test_nodes_are_restarted_and_taken_back(site: Callable[[], Site], expected: list[tuple[str, str, str]]) -> None:
    assert actions_of(site().plan()) == expected


def test_the_reason_names_every_value_before_and_after() -> None:
    [action] = pending(W1).plan().of(RestartNode)
    assert action.why == "its machine takes this up at a start only: memory: 4096 → 12288 MiB"
    assert [str(one) for one in action.fields] == ["memory: 4096 → 12288"]
    assert action.disruption is Disruption.NODE_RESTART


def test_the_machine_says_what_it_takes_up_later() -> None:
    [action] = changed(W1).plan().of(ChangeMachine)
    assert action.change == "changed; memory[0].dedicated: in force once the machine has started anew"


def test_another_value_is_another_plan() -> None:
    one, other = running(standing(), **{W1: "8192"}).plan(), running(standing(), **{W1: "12288"}).plan()
    assert one.digest != other.digest
