"""What an environment allows, and who has to agree."""

from datetime import date
from enum import StrEnum

from pydantic import Field

from infraflux.config import patterns
from infraflux.config.models.base import GitRemote, Name, SecretRefOrUrl, Section, Text


class Disruption(StrEnum):
    """Whom a change disturbs, from nobody to the loss of data; in this order they compare."""

    NONE = "none"
    SERVICE_RESTART = "service-restart"
    """A service of a node starts again; the node and its pods stay."""
    NODE_RESTART = "node-restart"
    NODE_LEAVES = "node-leaves"
    """A node is gone afterwards, or is made anew."""
    DATA_LOST = "data-lost"
    """Data of a disk is gone afterwards."""

    @property
    def rank(self) -> int:
        return list(type(self)).index(self)

    def __lt__(self, other: object) -> bool:
        return self.rank < other.rank if isinstance(other, Disruption) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self.rank <= other.rank if isinstance(other, Disruption) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self.rank > other.rank if isinstance(other, Disruption) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self.rank >= other.rank if isinstance(other, Disruption) else NotImplemented

    @property
    def words(self) -> str:
        """For people: `node restart`."""
        return self.value.replace("-", " ")


class Approval(Section):
    """A person looks at the plan before it is applied."""

    required: bool = False
    """Nothing is applied before a person has approved the plan."""
    from_disruption: Disruption | None = None
    """A person approves plans that disturb this much or more; `none`: every plan that changes anything."""
    timeout_s: int = Field(default=3600, ge=1, le=604_800)
    """How long an approval may take; then the plan is rejected."""


class Window(Section):
    """A recurring time in which something may start."""

    name: Name
    days: tuple[str, ...] = ("mon", "tue", "wed", "thu", "fri")
    """Days on which it opens: mon to sun."""
    start: str = Field(pattern=patterns.TIME.regex)
    """When it opens, in quotes."""
    end: str = Field(pattern=patterns.TIME.regex)
    """When it closes, in quotes."""
    timezone: str = "UTC"
    """Time zone of both."""


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
    """`auto`: promote as soon as the release is ready; `manual`: when a person says so."""
    soak_s: int = Field(default=0, ge=0)
    """Seconds a release must have been verified upstream."""
    windows: tuple[Window, ...] = ()
    """Promotions start in these times only; none: always."""
    freeze: bool = False
    """No promotion starts."""
    write: PinWriting = PinWriting.COMMIT
    """Write the new pins to the branch itself, or to a branch for review."""
    remote: GitRemote | None = None
    """The Git remote the pin is pushed to; None: it stays in this checkout."""


class DriftFix(StrEnum):
    NONE = "none"
    HARMLESS = "harmless"
    REPAIRABLE = "repairable"


class DriftIgnore(Section):
    """A known difference that is not reported until it expires."""

    name: Name
    layer: str = Field(pattern=patterns.DRIFT_LAYER.regex)
    """Layer of the difference."""
    object: Text
    """Name of the object, `*` as wildcard."""
    field: Text = "*"
    """Field, `*` as wildcard."""
    owner: Text
    """Who answers for it."""
    reason: Text
    """Why it is ignored."""
    expires: date
    """Day from which it is reported again."""


class Drift(Section):
    """What the nightly check does with differences."""

    fix: DriftFix = DriftFix.NONE
    """Which differences the nightly check repairs by itself."""
    ignore: tuple[DriftIgnore, ...] = ()
    """Known differences."""
    full_plan_days: int = Field(default=7, ge=0, le=365)
    """Longest time in days that the machines are only compared with the last full Terraform plan; 0: always planned."""
    certificate_min_days: int = Field(default=30, ge=1)
    """Certificates that end sooner are reported."""
    notify_url: SecretRefOrUrl | None = None
    """Where findings are posted: a URL, or a reference to one that is secret."""


class GuardOverride(Section):
    """Lets one named object be replaced or destroyed, until it expires."""

    name: Name
    target: Text
    """Node name, or `<node>/<disk>`."""
    reason: Text
    """Why it is allowed."""
    expires: date
    """Day from which it is forbidden again."""


class DestructionGuard(Section):
    max_destroyed_percent: int = Field(default=34, ge=0, le=100)
    """Share of the cluster's nodes that one plan may replace or destroy."""
    overrides: tuple[GuardOverride, ...] = ()
    """Objects that may be replaced or destroyed for now."""


class DrainTimeout(StrEnum):
    STOP = "stop"
    FORCE = "force"


class Rollout(Section):
    """How changes reach nodes that run."""

    drain_timeout_s: int = Field(default=300, ge=1, le=86_400)
    """How long a node is drained; PodDisruptionBudgets may hold it back that long."""
    on_drain_timeout: DrainTimeout = DrainTimeout.STOP
    """What then happens: `stop` ends the run and names the pods, `force` deletes them in spite of their budgets."""
    shutdown_timeout_s: int = Field(default=180, ge=1, le=3600)
    """How long a machine may take to power off when it is restarted, by its guest agent or ACPI."""
    on_shutdown_timeout: DrainTimeout = DrainTimeout.STOP
    """What then happens: `stop` ends the run and leaves the machine on, `force` switches it off."""
    max_unavailable: int = Field(default=1, ge=1, le=100)
    """Workers that may be out of service at the same time; control planes always go one by one."""


class Policy(Section):
    """What an environment allows."""

    approval: Approval = Approval()
    """Who looks before a change."""
    rollout: Rollout = Rollout()
    """How changes reach nodes that run."""
    windows: tuple[Window, ...] = ()
    """Plans that restart a node, or take one away, are executed in these times only; none: always."""
    promotion: Promotion = Promotion()
    """How releases reach this environment."""
    drift: Drift = Drift()
    """What the nightly check does."""
    destruction_guard: DestructionGuard = DestructionGuard()
    """What one plan may destroy."""
    require_clean_git: bool = False
    """Refuse to act from a dirty working tree."""
    allow_single_control_plane: bool = False
    """Allow a cluster that does not survive the loss of its control plane."""
    deletion_protection: bool = False
    """Proxmox refuses to remove the VMs until this is turned off and applied."""
    allow_insecure_tls: bool = False
    """Allow `proxmox.insecure`."""
    allow_destroy: bool = True
    """Allow `destroy` of a whole cluster."""

    @property
    def protection(self) -> str:
        """What has to change before a cluster may be destroyed, as a next step; empty where it may be."""
        if self.deletion_protection:
            return "set policy.deletion_protection to false, apply that, and destroy then"
        return "" if self.allow_destroy else "set policy.allow_destroy to true, and destroy then"
