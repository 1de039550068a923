"""The Talos side of one cluster, ready to be asked and acted on."""

from collections.abc import Callable
from pathlib import Path

from infraflux.adapters.secrets.bundle import Learn, ignore
from infraflux.adapters.talos.talosctl import Talosctl
from infraflux.adapters.talos.workspace import TalosWorkspace
from infraflux.adapters.tools.locate import locate
from infraflux.config.models import ClusterSpec
from infraflux.operations.bootstrap import TalosCluster
from infraflux.render.talos import render_patches


def open_talos(
    spec: ClusterSpec,
    *,
    root: Path,
    tree: Path | None = None,
    log: Callable[[str], None] = lambda _: None,
    learn: Learn = ignore,
    validate: bool = True,
) -> TalosCluster:
    """Renders the patches, finds talosctl; nothing is asked of any machine yet. `learn` hears of every secret.

    `tree` is where patch files are read from; the project itself where it is not given. `validate` false is for who has
    asked Talos about the same patches already.
    """
    talosctl = Talosctl(binary=locate("talosctl"), cluster=spec.key)
    patches = render_patches(spec, root=tree or root)
    workspace = TalosWorkspace(spec=spec, root=root, talosctl=talosctl, patches=patches, learn=learn, validate=validate)
    return TalosCluster(workspace=workspace, log=log)
