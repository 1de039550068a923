"""What an idempotent step says it did."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Noop:
    """Nothing had to be done, and why: `Noop("dev-1-cp-1 already at v1.13.9")`."""

    reason: str

    def __str__(self) -> str:
        return f"nothing to do: {self.reason}"


@dataclass(frozen=True)
class Done:
    """Something was changed: `Done("bootstrapped etcd on dev-1-cp-1")`."""

    what: str

    def __str__(self) -> str:
        return self.what


Outcome = Noop | Done
