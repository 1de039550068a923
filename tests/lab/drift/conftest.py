"""The world that drift is injected into, once for the module, and what was found of what was injected."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from labkit.drift_world import World, deployed_world

from infraflux.adapters.tools.locate import Source, this_machine

PROGRAMS = (
    *("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "talosctl"),
    *("helm", "kustomize", "terraform", "argocd", "terraform-provider-proxmox"),
)


@dataclass
class Tally:
    """Lines of reports, counted over all kinds."""

    kinds: int = 0
    injected: int = 0
    found: int = 0
    said: int = 0

    @property
    def recall(self) -> float:
        """Of what was injected, the share that was found."""
        return self.found / self.injected

    @property
    def precision(self) -> float:
        """Of what was said, the share that was injected."""
        return self.found / self.said


@pytest.fixture(scope="module")
def tally() -> Tally:
    return Tally()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    missing = [name for name in PROGRAMS if this_machine().find(name).source is Source.MISSING]
    if missing:
        pytest.skip(f"not built: {', '.join(missing)}; run `infraflux tools install --group test`")
    with deployed_world(tmp_path_factory.mktemp("drift") / "project") as made:
        yield made
