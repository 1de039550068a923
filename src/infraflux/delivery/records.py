"""What happened, append-only: verifications, promotions, holds. The ledger answers questions; nothing is edited."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, model_validator

from infraflux.config.models.base import Section


class Verified(Section):
    """A cluster was looked at and runs this release as wanted, or (`ok` false) does not any more."""

    kind: Literal["verified"] = "verified"
    digest: str
    release: str
    cluster: str
    at: datetime
    ok: bool = True
    evidence: str = ""
    """The flow run that looked."""
    looked: Literal["deploy", "drift check"] = "deploy"
    """What kind of look it was."""

    @model_validator(mode="before")
    @classmethod
    def _name_the_look(cls, data: Any) -> Any:
        """Records from before `looked` existed say it in the first words of their evidence."""
        if isinstance(data, dict) and "looked" not in data and str(data.get("evidence", "")).startswith("drift check"):
            return {**data, "looked": "drift check"}
        return data


PromotionState = Literal["asked", "pinned", "deployed", "rejected", "failed", "rolled-back"]


class Promoted(Section):
    """A promotion's way; the last record of a pair (digest, environment) is where it stands."""

    kind: Literal["promoted"] = "promoted"
    digest: str
    release: str
    environment: str
    state: PromotionState
    """`asked`: a person has to decide; `pinned`: written to Git; `rolled-back`: left for an earlier release."""
    at: datetime
    by: str = ""
    """The flow run, or the person."""
    detail: str = ""
    """Why: of `rejected`, `failed` and `rolled-back`."""
    branch: str = ""
    """Of `pinned`: the branch that has to be merged, empty where the checkout has the pin."""

    @model_validator(mode="before")
    @classmethod
    def _name_the_branch(cls, data: Any) -> Any:
        """Records from before `branch` existed have it as their detail."""
        if isinstance(data, dict) and data.get("state") == "pinned" and "branch" not in data:
            return {**data, "branch": data.get("detail", ""), "detail": ""}
        return data


class Approved(Section):
    """A person agreed to exactly this plan of one cluster; the deploy that follows need not ask again."""

    kind: Literal["approved"] = "approved"
    cluster: str
    plan: str
    """Digest of the cluster's own plan."""
    shared: str
    """Digest of the plan of what its environment shares."""
    by: str
    at: datetime
    run: str = ""
    """The flow run that asked."""


class Hold(Section):
    """Automatic promotion to the environment waits until a person releases it."""

    kind: Literal["hold"] = "hold"
    environment: str
    at: datetime
    reason: str
    released: bool = False


AnyRecord = Verified | Promoted | Approved | Hold
_ADAPTER: TypeAdapter[AnyRecord] = TypeAdapter(Annotated[AnyRecord, Field(discriminator="kind")])


def parse_record(line: str) -> AnyRecord:
    """One line of the ledger's file."""
    return _ADAPTER.validate_json(line)


@dataclass(frozen=True)
class Ledger:
    """All records, oldest first."""

    records: Sequence[AnyRecord] = ()

    def verified_at(self, digest: str, cluster: str) -> datetime | None:
        """Since when the cluster has been verified with this content, without a failure after it; None if it is not."""
        since: datetime | None = None
        for record in self._verifications(digest, cluster):
            since = (since or record.at) if record.ok else None
        return since

    def was_verified(self, digest: str, cluster: str) -> bool:
        """Whether its last verification there was good: a failed re-verification revokes the ones before."""
        return self.verified_at(digest, cluster) is not None

    def standing(self, cluster: str) -> Verified | None:
        """The release the cluster was last verified with; None where that was revoked, or never happened."""
        mine = [one for one in self.records if isinstance(one, Verified) and one.cluster == cluster]
        return mine[-1] if mine and mine[-1].ok else None

    def runs(self, digest: str, cluster: str) -> bool:
        """Whether the cluster is verified with this content now; one it left for another does not."""
        standing = self.standing(cluster)
        return standing is not None and standing.digest == digest

    def approval_of(self, cluster: str, *, plan: str, shared: str | None, since: datetime) -> Approved | None:
        """The approval of exactly this plan, not older than `since`; `shared` is None where that part is done."""
        found = [
            one
            for one in self.records
            if isinstance(one, Approved)
            and (one.cluster, one.plan) == (cluster, plan)
            and shared in (None, one.shared)
            and one.at >= since
        ]
        return found[-1] if found else None

    def hold_on(self, environment: str) -> Hold | None:
        holds = [one for one in self.records if isinstance(one, Hold) and one.environment == environment]
        return holds[-1] if holds and not holds[-1].released else None

    def last_promotion(self, environment: str, digest: str | None = None) -> Promoted | None:
        """The newest promotion record of an environment, or of one content in it."""
        found = [
            one
            for one in self.records
            if isinstance(one, Promoted) and one.environment == environment and digest in (None, one.digest)
        ]
        return found[-1] if found else None

    def _verifications(self, digest: str, cluster: str) -> Iterable[Verified]:
        return (
            one for one in self.records if isinstance(one, Verified) and (one.digest, one.cluster) == (digest, cluster)
        )
