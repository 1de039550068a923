"""The cluster of the Terraform unit tests, and a Proxmox that suits it."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infraflux.adapters.proxmox.facts import Host, Observed, StorageOnHost
from infraflux.adapters.proxmox.privileges import required
from infraflux.config.models import ClusterSpec

_module = importlib.util.spec_from_file_location("specs", Path(__file__).parents[1] / "terraform" / "conftest.py")
assert _module is not None
assert _module.loader is not None
_specs = importlib.util.module_from_spec(_module)
_module.loader.exec_module(_specs)


@pytest.fixture
def spec_with() -> Callable[..., ClusterSpec]:
    """`spec_with(proxmox={"ha": True})`: three control planes, three workers, three hosts."""
    return lambda **changes: ClusterSpec.model_validate(_specs.merged(_specs.BASE, changes))


@pytest.fixture
def observed_with() -> Callable[..., Observed]:
    """`observed_with(spec, guests=...)`: everything the cluster needs is there and nothing else."""

    def build(spec: ClusterSpec, **changes: Any) -> Observed:
        names = [host.name for host in spec.proxmox.hosts]
        facts: dict[str, Any] = {
            "version": (9, 1),
            "hosts": {
                name: Host(name=name, online=True, cores=16, memory_mib=65536, bridges=frozenset({"vmbr0"}))
                for name in names
            },
            "storages": {
                (name, storage): StorageOnHost(name=storage, host=name, content=frozenset({content}), free_gib=500)
                for name in names
                for storage, content in (("local", "import"), ("local-lvm", "images"))
            },
            "privileges": required(spec),
        }
        return Observed(**{**facts, **changes})

    return build
