"""A plan as people read it: whole texts, one file per plan; an approver and a terminal see the same changes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.plans import Site, blank, machine, standing, summary

from infraflux.adapters.talos.facts import NodeState
from infraflux.adapters.terraform.plan import Action as Terraform
from infraflux.adapters.terraform.plan import DiskLoss
from infraflux.operations.plan import report
from infraflux.operations.plan.actions import GitChange, as_json

PLANS = Path(__file__).parents[2] / "fixtures" / "plans"


def busy() -> Site:
    """Something of everything that happens to a cluster that stands."""
    site = standing()
    lost = DiskLoss(name="data", why="its machine is not kept")
    site.machines = summary(
        machine("dev-1-worker-2", Terraform.REPLACE, forced_by=("disk[1].datastore_id",), lost_disks=(lost,))
    )
    site.want(site.names(), "machine.sysctls", {"vm.swappiness": "1"})
    site.want(["dev-1-cp-1"], "machine.kubelet", {"extraArgs": {"v": "4|5"}})
    site.look("dev-1-worker-1", state=NodeState.SILENT, detail="connection refused")
    site.from_git = (GitChange(component="cilium", change="2 file(s) differ between aaaa and bbbb"),)
    site.warnings = ("pve-1 is nearly full",)
    return site


CASES: dict[str, Callable[[], Site]] = {"blank": blank, "busy": busy}


@pytest.mark.parametrize(("name", "make"), CASES.items(), ids=CASES.keys())
def test_the_text_of_an_approval(name: str, make: Callable[[], Site]):
    assert report.markdown(make().plan()) + "\n" == (PLANS / f"{name}.md").read_text()


@pytest.mark.parametrize("make", CASES.values(), ids=CASES.keys())
def test_terminal_and_program_are_told_of_every_action(make: Callable[[], Site]):
    plan = make().plan()
    lines, document = "\n".join(report.text(plan)), json.loads(json.dumps(as_json(plan)))
    assert len(document["actions"]) == len(plan.actions)
    assert document["digest"] == plan.digest
    for action in plan.actions:
        assert action.change in lines
        assert all(str(one) in lines for one in action.fields)


def test_nothing_to_do_is_one_line():
    assert report.markdown(standing().plan()) == "No changes."


def test_a_text_beyond_what_a_person_reads_is_cut_and_says_so():
    plan = busy().plan()
    many = replace(plan, actions=plan.actions * 200)
    text = report.markdown(many)
    assert len(text) < report.MAX_MARKDOWN + 300
    assert text.endswith(f"... cut: {many}")


def test_a_value_cannot_break_out_of_its_line():
    site = standing()
    site.want(["dev-1-worker-1"], "machine.sysctls", {"a": "1`\n</details># all is well"})
    (line,) = [line for line in report.markdown(site.plan()).splitlines() if "sysctls" in line]
    assert line == "- `v1alpha1.machine.sysctls.a: (absent) → 1' </details># all is well`"
