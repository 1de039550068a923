"""The cluster's kubeconfig and talosconfig on this machine, and how long their certificates last."""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

from cryptography import x509
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from infraflux.adapters.secrets.bundle import credential_values
from infraflux.adapters.talos.talosctl import TalosTransient
from infraflux.core.clock import NotYet, wait_until
from infraflux.core.errors import Retryable
from infraflux.core.files import write_private
from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.operations.bootstrap import TalosCluster, fetch_kubeconfig

RENEW_BEFORE = timedelta(days=30)
"""A run must not find its own certificate expiring half-way; Talos cuts them for a year."""
KUBECONFIG_DEADLINE_S = 180.0


@dataclass(frozen=True)
class Credential:
    """Who a kubeconfig or talosconfig speaks to, and until when."""

    server: str
    expires: datetime


def read_kubeconfig(text: str) -> Credential | None:
    """What the current context of a kubeconfig holds; None where it is not usable."""
    try:
        document = YAML(typ="safe", pure=True).load(text)
        context = _named(document["contexts"], document["current-context"])["context"]
        cluster = _named(document["clusters"], context["cluster"])["cluster"]
        user = _named(document["users"], context["user"])["user"]
        return Credential(cluster["server"], _expiry(user["client-certificate-data"]))
    except (YAMLError, KeyError, TypeError, ValueError, StopIteration):
        return None


def read_talosconfig(text: str) -> Credential | None:
    """What the current context of a talosconfig holds; None where it is not usable."""
    try:
        document = YAML(typ="safe", pure=True).load(text)
        context = document["contexts"][document["context"]]
        return Credential(",".join(context["endpoints"]), _expiry(context["crt"]))
    except (YAMLError, KeyError, TypeError, ValueError):
        return None


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def _expiry(certificate_base64: str) -> datetime:
    return x509.load_pem_x509_certificate(base64.b64decode(certificate_base64)).not_valid_after_utc


def decide_kubeconfig(current: Credential | None, *, endpoint: str, now: datetime) -> str | None:
    """Why a new kubeconfig is needed; None where the present one does."""
    if current is None:
        return "there is none yet"
    if current.server != endpoint:
        return f"it speaks to {current.server}, the cluster is at {endpoint}"
    if current.expires - now < RENEW_BEFORE:
        return f"its certificate ends on {current.expires:%Y-%m-%d}"
    return None


def ensure_kubeconfig(cluster: TalosCluster, *, now: datetime | None = None) -> Outcome:
    """Write the admin kubeconfig (0600) where it is missing, wrong or about to expire."""
    path = cluster.workspace.kubeconfig
    current = read_kubeconfig(path.read_text()) if path.exists() else None
    why = decide_kubeconfig(current, endpoint=cluster.spec.endpoint, now=now or datetime.now(UTC))
    if why is None:
        return Noop(f"{path} is valid")
    text = _fetch(cluster)
    cluster.workspace.learn(credential_values(text))
    write_private(path, text)
    return Done(f"wrote {path}: {why}")


def _fetch(cluster: TalosCluster) -> str:
    node = cluster.spec.control_planes[0]

    def probe() -> str | NotYet:
        try:
            return fetch_kubeconfig(cluster.admin, node=node, workdir=cluster.workspace.directory)
        except TalosTransient as error:
            return NotYet(error.message)

    text = wait_until(
        probe, clock=cluster.clock, deadline_s=KUBECONFIG_DEADLINE_S, interval_s=cluster.poll_s, what="kubeconfig"
    )
    if isinstance(text, NotYet):
        raise Retryable(
            f"{node.name} gave no kubeconfig within {KUBECONFIG_DEADLINE_S:.0f} s; last seen: {text}",
            cluster=cluster.spec.key,
            stage="kubeconfig",
            next_step="run again",
        )
    return text


def ensure_talosconfig(cluster: TalosCluster, *, now: datetime | None = None) -> Outcome:
    """Write the talosconfig (0600) where it is missing or about to expire."""
    path = cluster.workspace.talosconfig
    current = read_talosconfig(path.read_text()) if path.exists() else None
    if current is not None and current.expires - (now or datetime.now(UTC)) >= RENEW_BEFORE:
        return Noop(f"{path} is valid until {current.expires:%Y-%m-%d}")
    cluster.workspace.ensure_talosconfig(renew=True)
    return Done(f"wrote {path}")


def merge_kubeconfig(source: Path, target: Path) -> Outcome:
    """Put the cluster's entries into the user's own kubeconfig, only because the user asked; a backup is kept."""
    yaml = YAML(typ="rt", pure=True)
    ours = yaml.load(source.read_text())
    theirs = yaml.load(target.read_text()) if target.exists() else None
    if theirs is None:
        write_private(target, source.read_text())
        return Done(f"wrote {target}")
    before = target.read_bytes()
    for kind in ("clusters", "contexts", "users"):
        names = {entry["name"] for entry in ours[kind]}
        theirs[kind] = [entry for entry in theirs.get(kind) or [] if entry["name"] not in names] + ours[kind]
    write_private(target.with_name(f"{target.name}.before-infraflux"), before)
    stream = StringIO()
    yaml.dump(theirs, stream)
    write_private(target, stream.getvalue())
    return Done(f"merged context {ours['current-context']} into {target}; the previous file is kept beside it")
