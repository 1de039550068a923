"""First use of a cluster's secrets: an identity where none is, a bundle where none is, nothing ever written over."""

from pathlib import Path

from infraflux.adapters.secrets.identity import create_identity
from infraflux.adapters.talos.configs import generate_secrets
from infraflux.adapters.talos.workspace import TalosWorkspace
from infraflux.core.errors import Permanent
from infraflux.core.outcomes import Done, Noop, Outcome


def ensure_identity(workspace: TalosWorkspace) -> Outcome:
    """Make the age identity where `secrets.identity` is a file below the state directory that does not exist yet.

    Anywhere else an identity is somebody's own key: it is not made up for them.
    """
    reference = workspace.spec.secrets.identity
    kind, _, name = reference.partition(":")
    path = workspace.root / Path(name).expanduser()
    if kind != "file" or not path.is_relative_to(workspace.paths.state):
        return Noop(f"the identity is {reference}")
    try:
        identity = create_identity(path)
    except FileExistsError:
        return Noop(f"{path} exists")
    return Done(f"made the age identity {path} for {identity.to_public()}; back it up: without it no bundle opens")


def ensure_bundle(workspace: TalosWorkspace) -> Outcome:
    """Make the Talos secrets bundle where there is none; an existing one must open, and is kept."""
    store = workspace.store
    if store.exists():
        store.read()
        return Noop(f"{store.path} exists and opens")
    if workspace.read_marker() is not None:
        raise Permanent(
            f"{store.path} is missing, but this cluster was bootstrapped with it",
            cluster=workspace.spec.key,
            stage="secrets",
            next_step="restore the bundle from its backup; a new one would lock everybody out of the running cluster",
        )
    text = generate_secrets(
        workspace.talosctl, talos_version=workspace.spec.versions.talos, workdir=workspace.directory
    )
    store.create(text)
    return Done(f"made {store.path} for {len(store.effective_recipients())} recipient(s)")


def ensure_secrets(workspace: TalosWorkspace) -> list[Outcome]:
    """Identity and bundle, in this order; what patches refer to has to be there too, before anything is made."""
    workspace.open_patches()
    return [ensure_identity(workspace), ensure_bundle(workspace)]
