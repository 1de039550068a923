"""What an environment allows, and who has to agree."""

from datetime import date
from enum import StrEnum

from pydantic import Field

from infraflux.config.models.base import Name, SecretRefOrUrl, Section, Text


class Approval(Section):
    """A person looks at the plan before it is applied."""

    required: bool = False
    timeout_s: int = Field(default=3600, ge=1, le=604_800)


class Window(Section):
    """A recurring time in which promotions may start."""

    name: Name
    days: tuple[str, ...] = ("mon", "tue", "wed", "thu", "fri")
    start: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    end: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    timezone: str = "UTC"


class PromotionMode(StrEnum):
    AUTO = "auto"
    MANUAL = "manual"


class PinWriting(StrEnum):
    COMMIT = "commit"
    BRANCH = "branch"


class Promotion(Section):
    """How releases reach this environment."""

    source: Name | None = None
    """The environment a release must have been verified in; None: the first of the chain."""
    mode: PromotionMode = PromotionMode.MANUAL
    soak_s: int = Field(default=0, ge=0)
    """Seconds a release must have been verified upstream."""
    windows: tuple[Window, ...] = ()
    freeze: bool = False
    write: PinWriting = PinWriting.COMMIT


class DriftFix(StrEnum):
    NONE = "none"
    HARMLESS = "harmless"
    REPAIRABLE = "repairable"


class DriftIgnore(Section):
    """A known difference that is not reported until it expires."""

    name: Name
    layer: str = Field(pattern=r"^(machines|talos|kubernetes|gitops|\*)$")
    object: Text
    """Name of the object, `*` as wildcard."""
    field: Text = "*"
    owner: Text
    reason: Text
    expires: date


class Drift(Section):
    fix: DriftFix = DriftFix.NONE
    ignore: tuple[DriftIgnore, ...] = ()
    certificate_min_days: int = Field(default=30, ge=1)
    notify_url: SecretRefOrUrl | None = None
    """Where findings are posted: a URL, or a reference to one that is secret."""


class GuardOverride(Section):
    """Lets one named object be replaced or destroyed, until it expires."""

    name: Name
    target: Text
    """Node name, or `<node>/<disk>`."""
    reason: Text
    expires: date


class DestructionGuard(Section):
    max_destroyed_percent: int = Field(default=34, ge=0, le=100)
    """Share of the cluster's nodes that one plan may replace or destroy."""
    overrides: tuple[GuardOverride, ...] = ()


class Policy(Section):
    approval: Approval = Approval()
    promotion: Promotion = Promotion()
    drift: Drift = Drift()
    destruction_guard: DestructionGuard = DestructionGuard()
    require_clean_git: bool = False
    """Refuse to act from a dirty working tree."""
    allow_single_control_plane: bool = False
    deletion_protection: bool = False
    """Proxmox refuses to remove the VMs until this is turned off and applied."""
    allow_insecure_tls: bool = False
    allow_destroy: bool = True
