"""One thing that the preflight says."""

from dataclasses import dataclass

from infraflux.core.errors import ErrorClass


@dataclass(frozen=True, kw_only=True)
class PreflightFinding:
    """One thing that is not as it must be (error) or should be (warning)."""

    error_class: ErrorClass
    message: str
    fatal: bool = True
    missing_right: bool = False
    """Whether it is the token that lacks it; `infraflux proxmox token ENV` prints what grants it."""
