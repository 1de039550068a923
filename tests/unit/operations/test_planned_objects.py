"""The objects of the handoff follow what this plan's Terraform computes, not what the last apply left."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from fakes.plans import summary

from infraflux.adapters.kubernetes.client import KindMissing
from infraflux.adapters.terraform.plan import PlanSummary
from infraflux.core.outcomes import Done, Noop
from infraflux.operations.machines import MachinesPlan
from infraflux.operations.opening import OpenCluster
from infraflux.operations.plan.observed import PlatformSeen
from infraflux.operations.planning import _with_planned_objects

NAME = "ConfigMap apps/infraflux-facts"
BEFORE = {"vip": "10.0.0.5"}


def facts(data: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "infraflux-facts", "namespace": "apps"},
        "data": data,
    }


def planned(data: dict[str, str] | None) -> PlanSummary:
    """A plan that computes the output anew; None: what it will be is known only after the apply."""
    found = summary(outputs=("platform",))
    value = None if data is None else {"platform": {"value": {"values": {}, "manifests": [facts(data)]}}}
    return PlanSummary(changes=(), outputs=found.outputs, digest=found.digest, planned_outputs=value)


def look(plan: PlanSummary) -> PlatformSeen:
    def apply(manifest: dict[str, Any], **_how: bool) -> Done | Noop:
        return Noop("as wanted") if manifest["data"] == BEFORE else Done("would change it")

    platform = SimpleNamespace(secrets=lambda create: [], kubernetes=SimpleNamespace(apply=apply))
    opened = cast(OpenCluster, SimpleNamespace(platform=lambda: platform, learn=lambda _values: None))
    machines = cast(MachinesPlan, SimpleNamespace(cluster=SimpleNamespace(summary=plan)))
    seen = PlatformSeen(installs={}, handoff={NAME: Noop("as the last apply left it")}, nodes={})
    return _with_planned_objects(opened, machines, seen)


OBJECTS = {
    "nothing is computed anew": (summary(), Noop),
    "another value": (planned({"vip": "10.0.0.6"}), Done),
    "computed anew, and the same for this object": (planned(BEFORE), Noop),
    "known only after the apply": (planned(None), Done),
}


@pytest.mark.parametrize(("plan", "kind"), OBJECTS.values(), ids=OBJECTS.keys())
def test_an_object_is_applied_where_what_it_is_computed_from_changes(plan: PlanSummary, kind: type):
    assert isinstance(look(plan).handoff[NAME], kind)


def test_before_argo_cd_is_installed_there_is_nothing_to_try_them_on():
    def apply(_manifest: dict[str, Any], **_how: bool) -> None:
        raise KindMissing('applying Secret argocd/x: namespaces "argocd" not found')

    platform = SimpleNamespace(secrets=lambda create: [], kubernetes=SimpleNamespace(apply=apply))
    opened = cast(OpenCluster, SimpleNamespace(platform=lambda: platform, learn=lambda _values: None))
    machines = cast(MachinesPlan, SimpleNamespace(cluster=SimpleNamespace(summary=planned({"vip": "10.0.0.6"}))))
    seen = PlatformSeen(installs={"argocd": Done("would install argocd")}, handoff={NAME: Done("applied")}, nodes={})
    assert _with_planned_objects(opened, machines, seen) == seen
