"""The pinned helm CLI: release states, first installs, and the way out of an interrupted one.

InfraFlux installs two charts this way, once: Cilium (nodes cannot be Ready before) and Argo CD (somebody has to read
Git). After the handoff Argo CD renders the same charts with the same values and owns the objects. The release records
(Secrets `sh.helm.release.v1.*`) stay behind as the history of the first install; nothing reads them to act.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from infraflux.adapters.kubernetes.manifests import read_manifests
from infraflux.config.foreign_yaml import parse_documents
from infraflux.config.scalars import helm_value
from infraflux.config.tree import plain
from infraflux.core import process
from infraflux.core.errors import ErrorClass, Permanent, Retryable
from infraflux.core.outcomes import Done, Noop, Outcome

CALL_DEADLINE_S = 60.0
_BEYOND_ASCII = re.compile(r"[^\x20-\x7e]")
_TRANSIENT = ("connection refused", "i/o timeout", "context deadline exceeded", "no such host", "TLS handshake timeout")
_CRD = "CustomResourceDefinition"
_PENDING = {"pending-install", "pending-upgrade", "pending-rollback"}


class Run(Protocol):
    """The shape of `process.run`, so that tests can answer in its place."""

    def __call__(
        self,
        argv: Sequence[str | Path],
        *,
        deadline_s: float,
        env: Mapping[str, str] | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> process.Completed: ...


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What is to be installed; `values` are files in order, later ones win."""

    release: str
    namespace: str
    name: str
    repository: str
    version: str
    values: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class HelmRelease:
    """The newest revision of a release as helm recorded it."""

    status: str
    revision: int
    chart_version: str
    values: Mapping[str, Any] = field(repr=False)

    @property
    def pending(self) -> bool:
        return self.status in _PENDING


@dataclass(frozen=True, kw_only=True)
class Install:
    """Install or upgrade; `recover` says what an interrupted earlier call left behind."""

    why: str
    recover: str = ""


def plan_install(
    chart: Chart, values: Mapping[str, Any], *, seen: HelmRelease | None, deployed_before: int | None
) -> Install | Noop:
    """What to do with a release; `deployed_before` is its last revision that was deployed."""
    if seen is None:
        return Install(why=f"release {chart.release} does not exist")
    if seen.pending:
        how = "rollback" if deployed_before else "forget"
        return Install(why=f"release {chart.release} is stuck in {seen.status}", recover=how)
    if seen.status != "deployed":
        return Install(why=f"release {chart.release} is {seen.status}")
    if seen.chart_version != chart.version:
        return Install(why=f"release {chart.release} is at chart {seen.chart_version}, wanted {chart.version}")
    if seen.values != values:
        return Install(why=f"values of release {chart.release} changed")
    return Noop(f"release {chart.release} is deployed at chart {chart.version} with these values")


def merge_values(files: Sequence[Path]) -> dict[str, Any]:
    """The files as helm reads and merges them: maps key by key, everything else replaced; null removes a key."""
    merged: dict[str, Any] = {}
    for path in files:
        documents = parse_documents(path.read_text(), shown=path.name, scalar=helm_value)
        merged = merge_maps(merged, plain(documents[0], opaque=True) if documents else {})
    return merged


def values_text(values: Mapping[str, Any]) -> str:
    """A values file: JSON as Helm's YAML reader takes it, which knows no surrogate pairs beyond 16 bits."""
    return _BEYOND_ASCII.sub(_escape, json.dumps(values, ensure_ascii=False))


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def merge_maps(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two sets of values as helm merges them; `over` wins."""
    out = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merge_maps(out[key], value)
        else:
            out[key] = value
    return out


def _source(chart: Chart) -> list[str]:
    argv = ["--repo", chart.repository, "--version", chart.version, "--namespace", chart.namespace]
    return argv + [word for path in chart.values for word in ("--values", str(path))]


class Helm:
    """helm against one cluster, with a home of its own: no user's repositories, plugins or cache."""

    def __init__(
        self,
        *,
        binary: Path,
        kubeconfig: Path,
        forget_record: Callable[[str, str], None],
        cluster: str = "",
        run: Run = process.run,
    ) -> None:
        """`forget_record(namespace, name)` deletes the Secret that holds a release record: helm itself has no command
        for that which would leave the objects alone."""
        self._forget_record = forget_record
        self._binary = binary
        self._kubeconfig = kubeconfig
        self._cluster = cluster
        self._run = run

    def read_release(self, release: str, *, namespace: str) -> HelmRelease | None:
        """The newest revision, or None."""
        done = self._helm("status", release, "--namespace", namespace, "--output", "json")
        if done.returncode:
            if "not found" in done.stderr:
                return None
            raise self._error(done, f"reading release {release}")
        seen = json.loads(done.stdout)
        values = self._helm("get", "values", release, "--namespace", namespace, "--output", "json")
        if values.returncode:
            raise self._error(values, f"reading values of release {release}")
        return HelmRelease(
            status=seen["info"]["status"],
            revision=seen["version"],
            chart_version=self._chart_version(release, namespace=namespace),
            values=json.loads(values.stdout) or {},
        )

    def last_deployed(self, release: str, *, namespace: str) -> int | None:
        """The newest revision that was ever fully deployed."""
        entries = self._history(release, namespace=namespace)
        return max((one["revision"] for one in entries if one["status"] in {"deployed", "superseded"}), default=None)

    def ensure(
        self, chart: Chart, *, deadline_s: float, dry_run: bool = False, log: Callable[[str], None] | None = None
    ) -> Outcome:
        """Bring the release to this chart and these values, out of whatever an interrupted call left.

        Pods may still be starting: helm's own wait would not say which, and would wait for pods that a hook after it
        serves. Raises Retryable where the cluster or the chart repository does not answer, Permanent where the chart,
        its version or its values are refused.
        """
        seen = self.read_release(chart.release, namespace=chart.namespace)
        before = self.last_deployed(chart.release, namespace=chart.namespace) if seen else None
        plan = plan_install(chart, merge_values(chart.values), seen=seen, deployed_before=before)
        if isinstance(plan, Noop):
            return plan
        if dry_run:
            return Done(f"would install {chart.name} {chart.version}: {plan.why}")
        if plan.recover == "rollback":
            self._rollback(chart, revision=before or 0, deadline_s=deadline_s)
        elif plan.recover and seen:
            self._forget(chart, revision=seen.revision)
        self._upgrade(chart, deadline_s=deadline_s, log=log)
        return Done(f"installed {chart.name} {chart.version}: {plan.why}")

    def read_crds(self, chart: Chart) -> list[dict[str, Any]]:
        """The CRDs a chart brings with these values, wherever it keeps them. Raises as `ensure`."""
        argv = ["template", chart.release, chart.name, "--include-crds", *_source(chart)]
        done = self._helm(*argv)
        if done.returncode:
            raise self._error(done, f"rendering {chart.name} {chart.version}")
        # Charts bring megabytes of other objects: only what may be a CRD is parsed.
        texts = [text for text in f"\n{done.stdout}".split("\n---") if _CRD in text]
        found = [one for text in texts for one in read_manifests(text.partition("\n")[2])]
        return [one for one in found if one.get("kind") == _CRD]

    def _upgrade(self, chart: Chart, *, deadline_s: float, log: Callable[[str], None] | None) -> None:
        argv = ["upgrade", chart.release, chart.name, "--install", "--create-namespace", *_source(chart)]
        # What a killed first call created has no complete record: the objects are ours all the same.
        argv += ["--take-ownership", "--timeout", f"{int(deadline_s)}s"]
        done = self._helm(*argv, deadline_s=deadline_s + CALL_DEADLINE_S, log=log)
        if done.returncode:
            raise self._error(done, f"installing {chart.name} {chart.version}")

    def _rollback(self, chart: Chart, *, revision: int, deadline_s: float) -> None:
        argv = ["rollback", chart.release, str(revision), "--namespace", chart.namespace]
        done = self._helm(*argv, deadline_s=deadline_s + CALL_DEADLINE_S)
        if done.returncode:
            raise self._error(done, f"taking release {chart.release} back to revision {revision}")

    def _forget(self, chart: Chart, *, revision: int) -> None:
        """Drop the record of an install that never finished; its objects stay and are taken over."""
        self._forget_record(chart.namespace, f"sh.helm.release.v1.{chart.release}.v{revision}")

    def _chart_version(self, release: str, *, namespace: str) -> str:
        entries = self._history(release, namespace=namespace)
        newest = max(entries, key=lambda one: int(one["revision"]))
        # "cilium-1.19.3": the name may hold dashes and the version may have a pre-release, but it begins with a digit.
        words = str(newest["chart"]).split("-")
        first = next((i for i, word in enumerate(words) if i and word.lstrip("v")[:1].isdigit()), len(words))
        return "-".join(words[first:])

    def _history(self, release: str, *, namespace: str) -> list[dict[str, Any]]:
        done = self._helm("history", release, "--namespace", namespace, "--output", "json")
        if done.returncode:
            raise self._error(done, f"reading history of release {release}")
        entries: list[dict[str, Any]] = json.loads(done.stdout)
        return entries

    def _helm(
        self, *words: str, deadline_s: float = CALL_DEADLINE_S, log: Callable[[str], None] | None = None
    ) -> process.Completed:
        with TemporaryDirectory(prefix="infraflux-helm-") as home:
            env = {f"HELM_{name}_HOME": f"{home}/{name.lower()}" for name in ("CACHE", "CONFIG", "DATA")}
            argv: list[str | Path] = [self._binary, *words, "--kubeconfig", self._kubeconfig]
            return self._run(argv, deadline_s=deadline_s, env=env, on_line=log)

    def _error(self, done: process.Completed, doing: str) -> Permanent | Retryable:
        text = f"{doing}: {done.stderr.strip() or done.tail}"
        if any(sign in done.stderr for sign in _TRANSIENT):
            return Retryable(text, cluster=self._cluster, stage="helm")
        wrong_values = "schema" in done.stderr or "values don't meet" in done.stderr
        return Permanent(
            text,
            cluster=self._cluster,
            stage="helm",
            error_class=ErrorClass.CONFIG if wrong_values or "not found" in done.stderr else ErrorClass.INTERNAL,
            next_step="correct the values of the component" if wrong_values else "",
        )
