"""Quantities as kubelets write them."""

import pytest

from infraflux.adapters.kubernetes.quantities import cores_of, mib_of


@pytest.mark.parametrize(("text", "cores"), [("4", 4), ("3920m", 3), ("", 0), ("x", 0)])
def test_cores(text: str, cores: int) -> None:
    assert cores_of(text) == cores


@pytest.mark.parametrize(
    ("text", "mib"),
    [("8147240Ki", 7956), ("4096Mi", 4096), ("2Gi", 2048), ("4294967296", 4096), ("1G", 953), ("", 0), ("1Xi", 0)],
)
def test_memory(text: str, mib: int) -> None:
    assert mib_of(text) == mib
