"""A release is its content: same content, same digest; every difference says whether it can be undone."""

from datetime import UTC, datetime

import pytest
from fakes.releases import TREES, cut_of
from fakes.specs import make_spec

from infraflux.core.errors import Permanent
from infraflux.delivery.release import Release, Reversible, diff

AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def release(name: str = "r1", *, at: datetime = AT, trees: dict[str, str] = TREES, **changes) -> Release:
    return cut_of([make_spec(**changes)], name=name, at=at, trees=trees)


def versions(talos: str = "v1.13.9", kubernetes: str = "v1.36.3") -> dict:
    return {"versions": {"talos": talos, "kubernetes": kubernetes}}


def cilium(version: str) -> dict:
    return {"platform": {"components": [{"name": "cilium", "version": version}]}}


def test_same_content_is_the_same_digest_whenever_it_is_cut():
    assert release("r1").digest == release("r2", at=AT.replace(year=2027)).digest


@pytest.mark.parametrize(
    "changes", [versions(talos="v1.13.8"), cilium("1.18.4"), {"trees": TREES | {"terraform": "d" * 40}}]
)
def test_any_other_content_is_another_digest(changes: dict):
    assert release(**changes).digest != release().digest


def test_clusters_that_differ_cannot_be_one_release():
    pair = [make_spec(), make_spec(name="dev-2", **versions(kubernetes="v1.36.2"))]
    with pytest.raises(Permanent, match=r"dev/dev-1 and dev/dev-2 differ.*versions.kubernetes is v1.36.3 and v1.36.2"):
        cut_of(pair)


def test_an_empty_environment_has_nothing_to_cut():
    with pytest.raises(Permanent, match="no cluster to cut"):
        cut_of([])


CHANGES = {
    "Talos image": (versions(talos="v1.13.8"), "versions.talos", Reversible.YES),
    "Kubernetes patch": (versions(kubernetes="v1.36.2"), "versions.kubernetes", Reversible.YES),
    "Kubernetes minor": (versions(kubernetes="v1.35.5"), "versions.kubernetes", Reversible.NO),
    "chart minor": (cilium("1.17.9"), "platform.components.cilium", Reversible.YES),
    "chart major": (cilium("0.9.0"), "platform.components.cilium", Reversible.NO),
    "tree": ({"trees": TREES | {"platform": "d" * 40}}, "trees.platform", Reversible.YES),
}


@pytest.mark.parametrize(("older", "path", "expected"), CHANGES.values(), ids=CHANGES.keys())
def test_each_kind_of_change_tells_whether_it_can_be_undone(older: dict, path: str, expected: Reversible):
    [change] = diff(release(**older), release())
    assert (change.path, change.reversible) == (path, expected)
    assert change.why


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [("memory_mib", 2048, Reversible.YES), ("cores", 1, Reversible.YES), ("system_disk_gib", 10, Reversible.NO)],
)
def test_machine_class_changes(field: str, value: int, expected: Reversible):
    pool = {"name": "cp", "role": "control-plane", "count": 1, "addresses": "10.0.0.11-10.0.0.12"}
    sizes = {"cores": 2, "memory_mib": 4096, "system_disk_gib": 20}
    before = release(node_pools=[pool | sizes | {field: value}])
    [change] = diff(before, release(node_pools=[pool | sizes]))
    assert (change.path, change.reversible) == (f"machine_classes.small/cp.{field}", expected)


def test_component_that_came_or_went_is_a_change():
    two = {
        "platform": {"components": [{"name": "cilium", "version": "1.18.3"}, {"name": "argocd", "version": "9.0.0"}]}
    }
    [change] = diff(release(), release(**two))
    assert (change.path, change.before, change.after) == ("platform.components.argocd", "absent", "9.0.0")


def test_release_is_immutable_and_round_trips():
    one = release()
    assert Release.model_validate_json(one.model_dump_json()) == one
    with pytest.raises(ValueError, match="frozen"):
        one.name = "r2"
