"""A real control plane and the lab's GitOps side (real Argo CD, charts and Git over HTTP) around one cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from labkit.platform_site import PROGRAMS, Site, control_plane, open_site

from infraflux.adapters.tools.locate import Source, this_machine


@pytest.fixture(scope="module")
def binaries() -> dict[str, Path]:
    found = {name: this_machine().find(name) for name in PROGRAMS}
    missing = [name for name, item in found.items() if item.source is Source.MISSING]
    if missing:
        pytest.skip(f"not built: {', '.join(missing)}; run `infraflux tools install --group test`")
    return {name: item.path for name, item in found.items() if item.path}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("platform")


@pytest.fixture(scope="module")
def kubeconfig(binaries: dict[str, Path], directory: Path) -> Iterator[Path]:
    with control_plane(binaries, directory) as path:
        yield path


@pytest.fixture(scope="module")
def site(binaries: dict[str, Path], kubeconfig: Path, directory: Path) -> Iterator[Site]:
    with open_site(binaries, kubeconfig, directory) as opened:
        yield opened


@pytest.fixture(scope="module")
def installed(site: Site) -> Site:
    """With Cilium and Argo CD; their Deployments have started Argo CD's processes."""
    site.installer.install_cilium()
    site.installer.install_argocd(site.secrets())
    return site
