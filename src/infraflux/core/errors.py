"""The error family of the whole product.

`Retryable` and `Permanent` are decided once, in the adapter at the edge; one Prefect `retry_condition_fn` reads them.
Sub-classes exist only where somebody catches them.
"""

from enum import StrEnum


class ErrorClass(StrEnum):
    """Who has to act."""

    USER = "user"
    CONFIG = "config"
    TRANSIENT = "transient"
    CAPACITY = "capacity"
    CONFLICT = "conflict"
    INTERNAL = "internal"


class InfrafluxError(Exception):
    """An error that can be shown as it is: it names the cluster, the stage, the class and the next step."""

    retryable = False
    default_class = ErrorClass.INTERNAL

    def __init__(
        self,
        message: str,
        *,
        cluster: str = "",
        stage: str = "",
        error_class: ErrorClass | None = None,
        next_step: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.cluster = cluster
        self.stage = stage
        self.error_class = error_class or self.default_class
        self.next_step = next_step

    def located(self, *, cluster: str = "", stage: str = "") -> "InfrafluxError":
        """Fill in the cluster and stage where the raiser could not know them; returns self for `raise ... from`."""
        self.cluster = self.cluster or cluster
        self.stage = self.stage or stage
        return self

    def __str__(self) -> str:
        where = " ".join(part for part in (self.cluster, self.stage) if part)
        head = f"[{where}] " if where else ""
        retry = "a retry can help" if self.retryable else "a retry cannot help"
        tail = f" Next: {self.next_step}" if self.next_step else ""
        return f"{head}{self.message} ({self.error_class}; {retry}).{tail}"


class Retryable(InfrafluxError):
    """The same call may succeed later without anybody changing anything."""

    retryable = True
    default_class = ErrorClass.TRANSIENT


class Permanent(InfrafluxError):
    """The same call fails again until somebody changes something."""

    default_class = ErrorClass.USER
