"""What Argo CD says, as facts: one Application each. No client, no call."""

from dataclasses import dataclass

ROOT = "root"


OVERLOADED = ("context deadline exceeded", "did not complete within requested timeout", "DeadlineExceeded")
"""What Argo CD passes on from an API server or a health check that was too busy: it says nothing about the sync."""


@dataclass(frozen=True, kw_only=True)
class Application:
    """An Application or ApplicationSet, reduced to what a person asks of it."""

    kind: str
    name: str
    sync: str
    """`Synced`, `OutOfSync`, `Unknown`."""
    health: str
    """`Healthy`, `Progressing`, `Degraded`, `Missing`, `Suspended`, `Unknown`."""
    message: str = ""
    """The most telling thing Argo CD says, with the resource it says it of; empty when all is well."""
    revision: str = ""
    refreshing: bool = False
    """Asked to look at Git again and not done yet: what it says is of before."""
    syncing: str = ""
    """What a running operation says, such as what it waits for; empty while none runs."""
    compared: bool = True
    """Whether Argo CD has looked at it at all; one that is new is looked at without being asked."""

    current: bool = True
    """Whether what it last compared is what it is told to compare now: the same sources, revision aside."""

    def stands_at(self, commit: str) -> bool:
        """Whether it is done with this commit of the repository, so that asking it again would tell nothing new.

        It sees by itself what changes on the cluster; only of Git it does not hear at once.
        """
        return self.done and self.current and commit in self.revision.split(",")

    @property
    def done(self) -> bool:
        return not self.refreshing and self.sync == "Synced" and self.health == "Healthy"

    @property
    def failed(self) -> bool:
        """Whether it needs somebody's hand; one whose look timed out is looked at again, until the deadline."""
        broken = self.health == "Degraded" or (self.sync == "Unknown" and bool(self.message))
        return broken and not any(sign in self.message for sign in OVERLOADED)

    def __str__(self) -> str:
        tail = f": {self.message}" if self.message else ""
        tail += " (comparing with Git)" if self.refreshing else ""
        return f"{self.kind} {self.name} is {self.sync}/{self.health}{tail}"
