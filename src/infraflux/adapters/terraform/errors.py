"""Terraform's and the provider's messages -> whose error it is, and whether a retry can help. Decided only here."""

import re
from collections.abc import Sequence

from infraflux.adapters.terraform.events import Diagnostic
from infraflux.adapters.terraform.lock import StateLocked, parse_lock
from infraflux.core.errors import ErrorClass, InfrafluxError, Permanent, Retryable

STAGE = "machines"
PLAN_STALE = "Saved plan is stale"


class PlanStale(Permanent):
    """The state changed after the plan was made; a new plan is needed."""

    default_class = ErrorClass.CONFLICT


# First match wins: the order goes from what is certain to what is general.
_RULES: tuple[tuple[str, type[InfrafluxError], ErrorClass, str], ...] = (
    (PLAN_STALE, PlanStale, ErrorClass.CONFLICT, "plan again"),
    (
        r"\b401\b|authentication failure|invalid token|no such token|permission denied - invalid PVE ticket",
        Permanent,
        ErrorClass.USER,
        "renew the API token and check its reference in config/environments",
    ),
    (
        r"\b403\b|permission check failed|permission denied",
        Permanent,
        ErrorClass.USER,
        "give the token the privileges of docs/proxmox.md",
    ),
    (r"x509:|certificate (is not trusted|signed by unknown)", Permanent, ErrorClass.CONFIG, "check proxmox.ca_file"),
    (r"checksum mismatch|checksum.*(expected|differ)", Permanent, ErrorClass.CONFIG, "check image.sha256"),
    (
        r"no space left|free space|not enough space|out of (disk )?space|quota|insufficient|not enough memory",
        Permanent,
        ErrorClass.CAPACITY,
        "free space or name another storage",
    ),
    (
        r"can't lock file|got timeout|is locked|unable to acquire lock|trying to acquire lock",
        Retryable,
        ErrorClass.TRANSIENT,
        "run it again; `qm unlock` only if no task of that machine runs",
    ),
    (
        r"already exists|already (in use|defined)|config file already",
        Permanent,
        ErrorClass.CONFLICT,
        "see `infraflux machines orphans`, or change vm_id_start",
    ),
    (
        r"automatic power-offs/reboots are disabled",
        Permanent,
        ErrorClass.CONFLICT,
        "run it again: a disk of a running machine grows in a step of its own, after the other changes were recorded",
    ),
    (r"protection mode", Permanent, ErrorClass.USER, "turn policy.deletion_protection off and apply that first"),
    (
        r"\b(500|502|503|504|595|596|599)\b|connection (refused|reset)|EOF|i/o timeout|TLS handshake|no route to host"
        r"|deadline exceeded|Client\.Timeout|task .*(stopped|unknown|interrupted)|broken pipe|no such host",
        Retryable,
        ErrorClass.TRANSIENT,
        "run it again",
    ),
    (r"protected from|hookscript|Invalid value|Unsupported argument", Permanent, ErrorClass.CONFIG, ""),
)


def killed(number: int, *, cluster: str, doing: str) -> InfrafluxError:
    """The error of a command that somebody else ended with a signal: it had no time to say anything.

    The same saved plan would meet the machines that Proxmox made meanwhile, so what helps is a new run.
    """
    return Permanent(
        f"{doing} was killed by signal {number}",
        cluster=cluster,
        stage=STAGE,
        error_class=ErrorClass.TRANSIENT,
        next_step="run it again: machines that were made and not recorded are adopted; if it repeats, look for a lack"
        " of memory (`journalctl -k`)",
    )


def to_error(diagnostics: Sequence[Diagnostic], *, tail: str, cluster: str, doing: str) -> InfrafluxError:
    """The one error of a failed command, with every message Terraform gave."""
    errors = [one for one in diagnostics if one.severity == "error"]
    text = "\n".join(dict.fromkeys(one.text for one in errors)) or tail
    if (lock := parse_lock(text)) is not None and "state lock" in text:
        locked = StateLocked(
            f"{doing}: the state is held by {lock}",
            cluster=cluster,
            stage=STAGE,
            error_class=ErrorClass.CONFLICT,
            next_step="wait for it to end",
        )
        locked.lock = lock
        return locked
    for pattern, kind, error_class, next_step in _RULES:
        if re.search(pattern, text, re.IGNORECASE):
            return kind(f"{doing}: {text}", cluster=cluster, stage=STAGE, error_class=error_class, next_step=next_step)
    return Permanent(f"{doing}: {text}", cluster=cluster, stage=STAGE, error_class=ErrorClass.INTERNAL)
