"""The run's final state says what was seen, and half a look is never called clean."""

from datetime import UTC, datetime

import pytest

from infraflux.drift.findings import ClusterDrift, DriftClass, Finding, Layer, Owner
from tasks.drift import final_state

NOW = datetime(2026, 11, 23, 2, 15, tzinfo=UTC)
FINDING = Finding(
    layer=Layer.TALOS,
    object="n",
    field="f",
    wanted="a",
    seen="b",
    drift_class=DriftClass.REPAIRABLE,
    owner=Owner.TALOSCTL,
)


def report(name: str, **changes) -> ClusterDrift:
    return ClusterDrift(cluster=name, at=NOW, **changes)


CLEAN, DRIFTED = report("a/a"), report("b/b", findings=(FINDING,))
UNKNOWN, SKIPPED = report("c/c", unknown=("refused",)), report("d/d", skipped="held")


@pytest.mark.parametrize(
    ("reports", "name"),
    [
        ([CLEAN], "Completed"),
        ([CLEAN, SKIPPED], "Completed"),
        ([CLEAN, UNKNOWN], "DriftUnknown"),
        ([CLEAN, DRIFTED], "DriftFound"),
        ([DRIFTED, UNKNOWN], "DriftFound"),
    ],
)
def test_final_state(reports: list[ClusterDrift], name: str):
    state = final_state(reports)
    assert (state.name, state.is_completed()) == (name, True)
    assert all(one.cluster in state.message for one in reports)
