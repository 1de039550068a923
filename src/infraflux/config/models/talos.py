"""Versions, image, machine-config patches and where the Talos secrets are."""

from typing import Any, Literal

from pydantic import Field, field_serializer, field_validator

from infraflux.config import patterns
from infraflux.config.json_patches import WRONG, instead, is_json_patch
from infraflux.config.models.base import (
    AgeRecipient,
    ExtensionName,
    KernelArgument,
    Name,
    NodeName,
    RepoPath,
    SecretRef,
    Section,
    Url,
    Version,
)
from infraflux.config.scalars import with_marks, without_marks


class Versions(Section):
    """What runs; checked against the version matrix."""

    talos: Version
    """Talos of every node, `v1.13.9`."""
    kubernetes: Version
    """Kubernetes of every node, `v1.36.3`."""


class Schematic(Section):
    """What goes into the Talos image beyond plain Talos; the image factory turns it into an id."""

    extensions: tuple[ExtensionName, ...] = ()
    """Official system extensions, `siderolabs/qemu-guest-agent`."""
    kernel_args: tuple[KernelArgument, ...] = ()
    """Extra kernel arguments; `-name` leaves out one that Talos has by default."""
    id: str | None = Field(default=None, pattern=patterns.SHA256.regex)
    """Computed from the fields above where it is not given."""


class Image(Section):
    """The nocloud disk image on every host's image storage, and the installer of the same schematic."""

    factory_url: Url = "https://factory.talos.dev"
    """The image factory that Proxmox downloads from."""
    installer_registry: str = Field(default="factory.talos.dev", pattern=patterns.REGISTRY.regex)
    """Registry of the installer images, with a path where a mirror has one."""
    schematic: Schematic = Schematic()
    sha256: str | None = Field(default=None, pattern=patterns.SHA256.regex)
    """Checksum of the downloaded image, checked by Proxmox before it is used."""


class Patch(Section):
    """One Talos machine-config patch, inline (`content`) or from a file in the repository (`file`)."""

    name: Name
    file: RepoPath | None = None
    """Path of a patch below the repository root."""
    content: dict[str, Any] | None = None
    """The patch itself."""

    @field_validator("content", mode="before")
    @classmethod
    def _is_the_patch_itself(cls, content: Any) -> Any:
        if isinstance(content, str) and content:
            raise ValueError("is text that holds a patch; write the patch itself there, without `|` and quotes")
        if is_json_patch(content):
            raise ValueError(f"{WRONG}; {instead(content)}")
        return content

    @field_validator("content")
    @classmethod
    def _unmarked(cls, content: dict[str, Any] | None) -> Any:
        """Scalars that only Talos can read come marked through JSON, and go so; see `scalars`."""
        return without_marks(content)

    @field_serializer("content", when_used="json")
    def _marked(self, content: dict[str, Any] | None) -> Any:
        return with_marks(content)


class NodePatch(Patch):
    """A patch for one node."""

    node: NodeName
    """The node it is for."""


class Patches(Section):
    """Applied in this order: all, then role, then node."""

    all: tuple[Patch, ...] = ()
    """For every node."""
    control_plane: tuple[Patch, ...] = ()
    """For control planes."""
    worker: tuple[Patch, ...] = ()
    """For workers."""
    node: tuple[NodePatch, ...] = ()
    """For one node each."""


class TalosConfig(Section):
    """How Talos is set up on every node."""

    install_disk: str = Field(default="/dev/sda", pattern=patterns.DEVICE.regex)
    """The disk Talos is installed on."""
    schedule_on_control_planes: bool | None = None
    """Whether control planes take workloads; where it is not given, exactly where there is no worker."""
    patches: Patches = Patches()
    boot_timeout_s: int = Field(default=600, ge=1, le=7200)
    """From power-on until the maintenance API answers, per node."""
    health_timeout_s: int = Field(default=900, ge=1, le=7200)
    """From bootstrap until the cluster is healthy."""
    worker_parallelism: int = Field(default=3, ge=1, le=50)
    """How many workers get their configuration side by side."""


class TalosSecrets(Section):
    """The encrypted Talos secrets bundle of the cluster."""

    bundle: RepoPath | None = None
    """`secrets/<environment>/<cluster>.talos.age` below the repository where it is not given."""
    recipients: tuple[AgeRecipient, ...] = ()
    """age recipients (`age1...`) the bundle is encrypted for; empty: the identity's own recipient."""
    identity: SecretRef
    """The age identity that decrypts it."""
    storage: Literal["repository", "state"] = "repository"
    """Whether a relative `bundle` is below the repository root or below the state directory (never committed)."""
