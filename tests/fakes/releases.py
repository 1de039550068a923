"""Releases for tests, cut of hand-made specs as if from a commit."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from infraflux.config.models import ClusterSpec
from infraflux.delivery.release import Release, cut, machine_classes

AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
TREES = {"platform": "a" * 40, "terraform": "b" * 40}


def cut_of(
    specs: Sequence[ClusterSpec], *, name: str = "r1", at: datetime = AT, trees: Mapping[str, str] = TREES
) -> Release:
    classes = {
        key: one
        for spec in specs
        for key, one in machine_classes(spec.size, [pool.model_dump() for pool in spec.node_pools]).items()
    }
    return cut(specs, name=name, commit="c" * 40, cut_at=at, trees=trees, classes=classes)
