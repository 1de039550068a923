"""Argo CD as seen from outside: what its Applications say, a refresh, and waiting until all of them are as in Git.

InfraFlux reads and nudges; it never writes what an Application manages.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from infraflux.adapters.argocd.facts import ROOT, Application
from infraflux.adapters.kubernetes.client import KindMissing, Kubernetes
from infraflux.adapters.kubernetes.facts import Ref
from infraflux.core.clock import Clock, NotYet, wait_until
from infraflux.core.errors import ErrorClass, Permanent, Retryable

API = "argoproj.io/v1alpha1"
NAMESPACE = "argocd"
POLL_S = 0.5
REFRESH_AGAIN_S = 10.0
"""How long something may stand still before Argo CD is asked to look again; then twice as long each time. It does not
notice every change by itself, and looks at a running sync only every half minute, at other Applications every two
minutes, at an ApplicationSet that had an error after three."""
RELEASE_DEADLINE_S = 120.0
DEGRADED_DEADLINE_S = 120.0
"""How long an error must stand: Argo CD retries, a first sync often meets a CRD that is seconds away, and a first
certificate over ACME takes a minute."""
DELETING = "being deleted"
CONTROLLERS = tuple(
    Ref(api_version="apps/v1", kind=kind, namespace=NAMESPACE, name=f"argocd-{name}")
    for kind, name in (
        ("StatefulSet", "application-controller"),
        ("Deployment", "applicationset-controller"),
        ("Deployment", "repo-server"),
    )
)
"""Without any one of them nothing is compared with Git any more."""
REFRESH = "argocd.argoproj.io/refresh"
REFRESH_SET = "argocd.argoproj.io/application-set-refresh"
TRACKING = "argocd.argoproj.io/tracking-id"


class HandoffDegraded(Permanent):
    """Applications do not get in sync with Git; the cluster itself stays usable."""

    default_class = ErrorClass.USER


class HandoffSlow(Retryable):
    """Applications were still on their way when the time was up."""


def read_application(document: Mapping[str, Any]) -> Application:
    """An Application document as Argo CD writes it."""
    name = document["metadata"]["name"]
    if document["metadata"].get("deletionTimestamp"):
        return Application(kind="Application", name=name, sync="OutOfSync", health="Progressing", message=DELETING)
    status = document.get("status") or {}
    sync = status.get("sync") or {}
    operation = status.get("operationState") or {}
    said = operation.get("message", "")
    # While it retries the phase stays Running; only the text tells that an attempt failed ("%s. Retrying attempt #%d at
    # %s.": https://github.com/argoproj/argo-cd/blob/v3.6.1/controller/appcontroller.go).
    failed = operation.get("phase") in {"Failed", "Error"} or "Retrying attempt" in said
    health = (status.get("health") or {}).get("status", "Unknown")
    error = _condition(status) or (said if failed else "")
    return Application(
        kind="Application",
        name=name,
        # Empty between the first operation and the first comparison.
        sync=sync.get("status") or "Unknown",
        health="Degraded" if error else health,
        message=error or _worst_resource(status) or (status.get("health") or {}).get("message", ""),
        revision=sync.get("revision") or ",".join(sync.get("revisions") or []),
        refreshing=_refreshing(document),
        syncing="" if failed or operation.get("phase") != "Running" else said or "begins",
        compared=bool(sync.get("status") or error),
        current=_sources(sync.get("comparedTo") or {}) == _sources(document.get("spec") or {}),
    )


def _sources(holder: Mapping[str, Any]) -> Any:
    """Argo CD writes down what it compared as its spec had it, and looks again by itself where the two differ.

    https://github.com/argoproj/argo-cd/blob/v3.6.1/controller/appcontroller.go, needRefreshAppStatus
    """
    return holder.get("sources") or holder.get("source")


def read_application_set(document: Mapping[str, Any]) -> Application:
    """An ApplicationSet document; it counts as synced when its Applications are generated."""
    conditions = {one["type"]: one for one in (document.get("status") or {}).get("conditions") or []}
    error = conditions.get("ErrorOccurred") or {}
    bad = error.get("status") == "True"
    current = (conditions.get("ResourcesUpToDate") or {}).get("status") == "True"
    return Application(
        kind="ApplicationSet",
        name=document["metadata"]["name"],
        sync="Synced" if current and not bad else "OutOfSync",
        health="Degraded" if bad else ("Healthy" if current else "Progressing"),
        message=error.get("message", "") if bad else "",
        refreshing=_refreshing(document),
        compared=bool(conditions),
    )


def _ready(workload: Mapping[str, Any] | None) -> bool:
    return int(((workload or {}).get("status") or {}).get("readyReplicas") or 0) > 0


def _refreshing(document: Mapping[str, Any]) -> bool:
    """Argo CD takes the annotation away once it has looked."""
    annotations = document["metadata"].get("annotations") or {}
    return REFRESH in annotations or REFRESH_SET in annotations


def _condition(status: Mapping[str, Any]) -> str:
    return next((one["message"] for one in status.get("conditions") or [] if "Error" in one.get("type", "")), "")


def _worst_resource(status: Mapping[str, Any]) -> str:
    """The first resource that is not well, worst kind first."""
    resources = status.get("resources") or []
    for wanted in ("Degraded", "Missing", "Progressing"):
        for one in resources:
            health = one.get("health") or {}
            if health.get("status") == wanted:
                said = f": {health['message']}" if health.get("message") else ""
                return f"{one['kind']} {one.get('namespace', '')}/{one['name']} is {wanted}{said}".replace(" /", " ")
    return ""


class ArgoCd:
    """The Argo CD that runs inside one cluster."""

    def __init__(self, kubernetes: Kubernetes, *, cluster: str = "") -> None:
        self._kubernetes = kubernetes
        self._cluster = cluster

    def read(self) -> list[Application]:
        """Every Application and ApplicationSet, the root first."""
        sets = self._kubernetes.list_objects(API, "ApplicationSet", namespace=NAMESPACE)
        applications = self._kubernetes.list_objects(API, "Application", namespace=NAMESPACE)
        seen = [read_application(one) for one in applications] + [read_application_set(one) for one in sets]
        return sorted(seen, key=lambda one: (one.name != ROOT, one.kind, one.name))

    def silent(self) -> list[Ref]:
        """The controllers that do not run: what Applications say is of before they stopped."""
        return [ref for ref in CONTROLLERS if not _ready(self._kubernetes.read(ref))]

    def owns(self, ref: Ref) -> str | None:
        """Name of the Application that tracks this object, or None."""
        found = self._kubernetes.read(ref)
        tracking = ((found or {}).get("metadata", {}).get("annotations") or {}).get(TRACKING, "")
        return str(tracking).split(":", 1)[0] or None

    def refresh(self, seen: Iterable[Application], *, hard: bool | None = None, commit: str = "") -> None:
        """Compare with Git now rather than at the next poll; `hard` also drops cached manifests and cached errors.

        Left open, hard is what is not Synced and Healthy: where all is well only the newest revision counts. What was
        never compared needs no asking: Argo CD would do its first look, the longest, twice. Nor does what stands at
        `commit`, where one is given.
        """
        for one in seen:
            if hard is None and (not one.compared or (commit and one.stands_at(commit))):
                continue
            ref = Ref(api_version=API, kind=one.kind, name=one.name, namespace=NAMESPACE)
            how = "hard" if (not one.done if hard is None else hard) else "normal"
            wish = {REFRESH_SET: "true"} if one.kind == "ApplicationSet" else {REFRESH: how}
            # One that its ApplicationSet took away since it was seen has nothing left to compare.
            with suppress(KindMissing):
                self._kubernetes.annotate(ref, wish)

    def release(self, *, clock: Clock, deadline_s: float = RELEASE_DEADLINE_S) -> list[str]:
        """Take every Application away and leave what it made: no cascade, no finalizer that nobody would ever serve.

        The root goes first, then the sets, and only when they are gone the rest: a set that still lives would give
        its Applications their deleting finalizer back. Returns the names. Raises Retryable at the deadline.
        """
        until = clock.monotonic() + deadline_s
        released = self._let_go("Application", only=ROOT, orphan=False, clock=clock, until=until)
        released += self._let_go("ApplicationSet", orphan=True, clock=clock, until=until)
        return released + self._let_go("Application", orphan=False, clock=clock, until=until)

    def _let_go(self, kind: str, *, only: str = "", orphan: bool, clock: Clock, until: float) -> list[str]:
        def left() -> list[str]:
            found = self._kubernetes.list_objects(API, kind, namespace=NAMESPACE)
            return [one["metadata"]["name"] for one in found if only in ("", one["metadata"]["name"])]

        chosen = left()
        for name in chosen:
            ref = Ref(api_version=API, kind=kind, name=name, namespace=NAMESPACE)
            self._kubernetes.drop_finalizers(ref)
            self._kubernetes.delete(ref, orphan=orphan)

        def still_there() -> NotYet | None:
            names = left()
            return NotYet(", ".join(names)) if names else None

        deadline_s = until - clock.monotonic()
        late = wait_until(still_there, clock=clock, deadline_s=deadline_s, what=f"{kind} to go")
        if late is not None:
            raise Retryable(
                f"not every {kind} went within {deadline_s:.0f} s; last seen: {late}",
                cluster=self._cluster,
                stage="release",
                next_step="run the same command again",
            )
        return [f"{kind} {name}" for name in chosen]

    def wait_until_synced(
        self,
        *,
        clock: Clock,
        deadline_s: float,
        log: Callable[[str], None] = lambda _line: None,
        degraded_deadline_s: float = DEGRADED_DEADLINE_S,
    ) -> list[Application]:
        """Wait until the root and all it leads to are Synced and Healthy; returns them.

        Raises HandoffDegraded when one keeps failing for `degraded_deadline_s`, HandoffSlow at the deadline; both name
        the Application, the resource and what Argo CD said last.
        """
        progress = _Progress(log=log)

        def look() -> list[Application] | NotYet:
            seen = self._look(progress, now=clock.monotonic())
            if isinstance(seen, NotYet) and (stuck := progress.failing_for(degraded_deadline_s, now=clock.monotonic())):
                raise self._degraded(stuck)
            return seen

        seen = wait_until(look, clock=clock, deadline_s=deadline_s, interval_s=POLL_S, what="Argo CD to sync")
        if isinstance(seen, NotYet):
            raise seen.cause or self._slow(seen, deadline_s)
        return seen

    def _look(self, progress: "_Progress", *, now: float) -> list[Application] | NotYet:
        """All there is, once it is in sync with Git; until then what makes no progress is refreshed. An API server that
        restarts decides nothing before the deadline."""
        try:
            seen = self.read()
            progress.note(seen, now=now)
            self.refresh(progress.standing(now=now), hard=False)
        except Retryable as error:
            return NotYet(error.message, error)
        if seen and seen[0].name == ROOT and all(one.done for one in seen):
            return seen
        left = [str(one) for one in seen if not one.done]
        return NotYet("; ".join(left) or "Argo CD shows no root Application")

    def _degraded(self, stuck: Sequence[Application]) -> HandoffDegraded:
        return HandoffDegraded(
            "handed over, but Degraded: " + "; ".join(str(one) for one in stuck),
            cluster=self._cluster,
            stage="handoff",
            next_step="correct it in Git (or the repository's credentials) and run the same command again",
        )

    def _slow(self, last: NotYet, deadline_s: float) -> HandoffSlow:
        return HandoffSlow(
            f"not all is as in Git within {deadline_s:.0f} s; last seen: {last}",
            cluster=self._cluster,
            stage="handoff",
            next_step="look at it with `infraflux platform status` and run the same command again",
        )


class _Progress:
    """Remembers since when an Application has been failing, and reports each change once."""

    def __init__(self, *, log: Callable[[str], None]) -> None:
        self._log = log
        self._last: dict[tuple[str, str], Application] = {}
        self._failing: dict[tuple[str, str], float] = {}
        self._due: dict[tuple[str, str], float] = {}
        self._pause: dict[tuple[str, str], float] = {}

    def note(self, seen: Sequence[Application], *, now: float) -> None:
        for one in seen:
            key = (one.kind, one.name)
            if self._last.get(key) != one:
                self._log(str(one))
                self._pause[key] = REFRESH_AGAIN_S
                self._due[key] = now + REFRESH_AGAIN_S
            self._last[key] = one
            if one.failed:
                self._failing.setdefault(key, now)
            else:
                self._failing.pop(key, None)

    def standing(self, *, now: float) -> list[Application]:
        """What is not in sync yet and has not changed for a while; each is returned at growing intervals."""
        waiting = [one for one in self._last.values() if not (one.done or one.refreshing)]
        due = [one for one in waiting if now >= self._due[one.kind, one.name]]
        for one in due:
            key = (one.kind, one.name)
            self._pause[key] *= 2
            self._due[key] = now + self._pause[key]
        return due

    def failing_for(self, degraded_deadline_s: float, *, now: float) -> list[Application]:
        """All that fail, once one has failed all the time; the root only repeats its children, so it comes last."""
        if not any(now - since >= degraded_deadline_s for since in self._failing.values()):
            return []
        failing = [self._last[key] for key in self._failing]
        return sorted(failing, key=lambda one: (one.name == ROOT, one.kind, one.name))
