"""What a cluster's Talos work needs on this machine: bundle, credentials, markers, the talosctl to call."""

import json
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

from infraflux.adapters.secrets.bundle import SHORTEST, BundleStore, Learn, SecretsBundle, credential_values, ignore
from infraflux.adapters.secrets.identity import load_identities
from infraflux.adapters.talos.configs import MachineConfigs, PatchSet, generate_configs, generate_talosconfig
from infraflux.adapters.talos.facts import BootstrapMarker
from infraflux.adapters.talos.patch_secrets import OpenPatches, open_patches, without_secrets
from infraflux.adapters.talos.talosctl import Talosctl
from infraflux.config.models import ClusterSpec
from infraflux.config.secrets_ref import resolve
from infraflux.core.errors import Permanent
from infraflux.core.files import make_private_dir, write_private
from infraflux.core.paths import ProjectPaths
from infraflux.core.workdir import sweep_workdirs


@dataclass(frozen=True, kw_only=True)
class TalosWorkspace:
    """One cluster's files below the state directory, all 0600 in 0700."""

    spec: ClusterSpec
    root: Path
    talosctl: Talosctl
    """Without credentials."""
    patches: PatchSet
    learn: Learn = field(default=ignore, repr=False)
    validate: bool = True
    """Whether configs are checked when they are made; needless where Talos was asked about the same patches before."""

    @property
    def paths(self) -> ProjectPaths:
        return ProjectPaths(self.root)

    @property
    def directory(self) -> Path:
        return self.paths.cluster_state(self.spec.environment, self.spec.name)

    @property
    def talosconfig(self) -> Path:
        return self.paths.talosconfig(self.spec.environment, self.spec.name)

    @property
    def kubeconfig(self) -> Path:
        return self.paths.kubeconfig(self.spec.environment, self.spec.name)

    @property
    def admin(self) -> Talosctl:
        """talosctl with the cluster's admin certificate; the talosconfig is made where it is missing."""
        self.ensure_talosconfig()
        return replace(self.talosctl, talosconfig=self.talosconfig)

    @property
    def bundle_path(self) -> Path:
        secrets = self.spec.secrets
        base = self.root if secrets.storage == "repository" else self.paths.state
        return base / (secrets.bundle or f"secrets/{self.spec.environment}/{self.spec.name}.talos.age")

    @property
    def has_bundle(self) -> bool:
        """Whether the secrets were made; nothing is opened to know it."""
        return self.bundle_path.exists()

    @property
    def untouched(self) -> bool:
        """Whether no secret was ever made for this cluster, so that no node of it can have a configuration."""
        made = (self.bundle_path, self.talosconfig, self.directory / "bootstrap.json")
        return not any(path.exists() for path in made)

    @cached_property
    def store(self) -> BundleStore:
        """The encrypted bundle; resolving the identity raises Permanent naming the reference."""
        secrets = self.spec.secrets
        text = resolve(secrets.identity, root=self.root)
        return BundleStore(
            cluster=self.spec.key,
            path=self.bundle_path,
            identities=load_identities(text.reveal(), reference=secrets.identity),
            recipients=secrets.recipients,
            learn=self.learn,
        )

    @cached_property
    def bundle(self) -> SecretsBundle:
        return self.store.read()

    @cached_property
    def configs(self) -> MachineConfigs:
        """The wanted machine config of every node, with the secrets that patches refer to."""
        patches = self.open_patches()
        try:
            made = generate_configs(
                self.spec,
                talosctl=self.talosctl,
                bundle=self.bundle,
                patches=patches,
                workdir=self.directory,
                validate=self.validate,
            )
        except Permanent as error:  # talosctl quotes what it refuses
            raise without_secrets(error, patches.secrets) from None
        return replace(made, secrets=patches.secrets)

    def open_patches(self) -> OpenPatches:
        """The patches with their secrets. Raises Permanent naming a reference that nothing stands behind."""
        patches = open_patches(self.patches, root=self.root)
        self.learn(
            [line for value in patches.secrets for line in (value, *value.splitlines()) if len(line) >= SHORTEST]
        )
        return patches

    def ensure_talosconfig(self, *, renew: bool = False) -> Path:
        """Write the talosconfig where it is missing; `renew` cuts a new admin certificate."""
        if renew or not self.talosconfig.exists():
            text = generate_talosconfig(
                self.spec,
                talosctl=self.talosctl,
                bundle=self.bundle,
                patches=self.patches,
                workdir=self.directory,
            )
            self.learn(credential_values(text))
            write_private(self.talosconfig, text)
        return self.talosconfig

    def read_marker(self) -> BootstrapMarker | None:
        path = self.directory / "bootstrap.json"
        return BootstrapMarker(**json.loads(path.read_text())) if path.exists() else None

    def write_marker(self, marker: BootstrapMarker) -> None:
        make_private_dir(self.directory)
        write_private(self.directory / "bootstrap.json", json.dumps(asdict(marker)))

    def forget(self) -> None:
        """Remove credentials and markers of a cluster that is gone; the bundle stays where it is."""
        for name in ("bootstrap.json", "kubeconfig", "talosconfig"):
            (self.directory / name).unlink(missing_ok=True)
        sweep_workdirs(self.directory)
