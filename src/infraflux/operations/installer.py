"""From a bare cluster to one that Git owns: two first installs, the handoff, and knowing when to keep hands off.

Before the handoff InfraFlux writes Cilium and Argo CD with helm. After it, Argo CD tracks their objects and InfraFlux
only reads them; what it still owns are the facts and limits (projects, namespaces, cluster Secret, root Application).
Every step may be called again: it then says why there is nothing to do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from ruamel.yaml import YAML

from infraflux.adapters.argocd.client import API, ArgoCd
from infraflux.adapters.argocd.facts import Application
from infraflux.adapters.helm import Chart, HelmRelease, values_text
from infraflux.adapters.kubernetes.client import KindMissing, Kubernetes
from infraflux.adapters.kubernetes.facts import Manifest, Ref
from infraflux.adapters.kubernetes.workloads import read_unready
from infraflux.config.models import ClusterSpec
from infraflux.core.clock import Clock, NotYet, wait_until
from infraflux.core.errors import ErrorClass, InfrafluxError, Permanent, Retryable
from infraflux.core.outcomes import Done, Noop, Outcome

CILIUM_DEADLINE_S = 420.0
"""Talos reboots a node that had no CNI for 10 minutes; seven leave time for one more try."""
ARGOCD_DEADLINE_S = 600.0
HANDOFF_DEADLINE_S = 1200.0
CRD_DEADLINE_S = 60.0
GATEWAY_API_DEADLINE_S = 180.0
"""Talos fetches its manifests over the nodes' own line, and again where that failed."""
WEBHOOK_DEADLINE_S = 120.0

MARKERS = {
    "cilium": Ref(api_version="apps/v1", kind="DaemonSet", namespace="kube-system", name="cilium"),
    "argocd": Ref(api_version="apps/v1", kind="Deployment", namespace="argocd", name="argocd-server"),
}
"""The object of each component that tells who owns it: Argo CD marks what it tracks."""


PLATFORM_OUTPUT = "platform"
"""The output of `terraform/cluster` that holds the values and objects of the platform."""

ARGO_MANAGER = "argocd-controller"
"""Field manager of Argo CD's server-side apply."""


class Releases(Protocol):
    """What the platform asks of helm; see `infraflux.adapters.helm.Helm`."""

    def read_crds(self, chart: Chart) -> list[Manifest]: ...

    def read_release(self, release: str, *, namespace: str) -> HelmRelease | None: ...

    def ensure(
        self, chart: Chart, *, deadline_s: float, dry_run: bool = False, log: Callable[[str], None] | None = None
    ) -> Outcome: ...


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What Terraform computed for this cluster: output `platform` of `terraform/cluster`."""

    values: Mapping[str, Mapping[str, Any]]
    """Generated Helm values of `cilium` and `argocd`."""
    manifests: Sequence[Manifest]
    """Objects of the handoff in the order they are applied."""

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Any]) -> "Bundle":
        """From `terraform output -json`. Raises Permanent where the cluster was applied before it had the output."""
        try:
            value = outputs[PLATFORM_OUTPUT]
            value = value.get("value", value)
            return cls(values=value["values"], manifests=value["manifests"])
        except (KeyError, AttributeError, TypeError) as error:
            raise Permanent(
                "the cluster's Terraform state has no output `platform`",
                stage="platform",
                error_class=ErrorClass.CONFLICT,
                next_step="deploy the machines of this cluster first: `infraflux deploy ENV/CLUSTER`",
            ) from error


@dataclass(frozen=True, kw_only=True)
class Installer:
    """The platform steps of one cluster."""

    spec: ClusterSpec
    tree: Path
    """The directory `platform/` of the project."""
    bundle: Bundle
    kubernetes: Kubernetes
    helm: Releases
    argocd: ArgoCd
    clock: Clock
    log: Callable[[str], None] = field(default=lambda _line: None, repr=False)

    def install_cilium(self, *, dry_run: bool = False) -> Outcome:
        """The first install of Cilium, until it runs; Noop once Argo CD owns it. Raises what `Helm.ensure` raises.

        After the Gateway API: Cilium's operator looks for it once, when it starts, and serves no Gateway without.
        """
        if not dry_run and self.kubernetes.read(MARKERS["cilium"]) is None:
            self._require_gateway_api()
        return self._first_install("cilium", deadline_s=CILIUM_DEADLINE_S, dry_run=dry_run)

    def install_argocd(self, secrets: Sequence[Manifest] = (), *, dry_run: bool = False) -> Outcome:
        """The first install of Argo CD, with what it is to work on, until it runs. Noop once it owns itself.

        Secrets and every component's CRDs come before the chart: a pod that mounts a Secret does not start without it.
        The root Application comes before the wait, so that Argo CD begins while its last pods still start.
        """
        if not dry_run and self.kubernetes.read(MARKERS["argocd"]) is None:
            self.deliver_secrets(secrets)
            self.deliver_kinds()
        return self._first_install("argocd", deadline_s=ARGOCD_DEADLINE_S, dry_run=dry_run, then=self._hand_over)

    def deliver_kinds(self) -> list[Outcome]:
        """Apply the CRDs of every component that is on, as Argo CD would and under its name, so that it finds them so.

        A running Argo CD reads the API's whole schema again at each change of each CRD, one after the other: that was
        most of the handoff. A chart that cannot be had from here is left to Argo CD.
        """
        outcomes: list[Outcome] = []
        for name in self._components():
            try:
                with TemporaryDirectory(prefix="infraflux-values-") as directory:
                    crds = self.helm.read_crds(self.chart(name, Path(directory)))
            except InfrafluxError as error:
                self.log(f"CRDs of {name} will come with Argo CD: {error.message.splitlines()[0]}")
                continue
            outcomes += [self.kubernetes.apply(one, force=True, manager=ARGO_MANAGER) for one in crds]
        return outcomes

    def _components(self) -> list[str]:
        """Directories below `infrastructure/` that this cluster does not switch off and helm does not install."""
        off = {one.name for one in self.spec.platform.components if not one.enabled}
        there = {path.parent.name for path in self.tree.glob("infrastructure/*/component.yaml")}
        return sorted(there - off - set(MARKERS))

    def hand_off(self, secrets: Sequence[Manifest], *, dry_run: bool = False) -> list[Outcome]:
        """Apply credentials, projects, namespaces with facts, the cluster Secret and the root Application.

        `secrets` come first: the first sync needs them. Raises Retryable or Permanent as the API server answers, and
        Permanent where nothing has brought the Gateway API: the stage `network` would never become healthy.
        """
        if not dry_run:
            self._require_gateway_api()
        delivered = self.deliver_secrets(secrets, dry_run=dry_run)
        return delivered + self._hand_over(dry_run=dry_run)

    def _hand_over(self, *, dry_run: bool = False) -> list[Outcome]:
        if not dry_run:
            self._wait_for_kinds("AppProject", "Application", "ApplicationSet")
        # Forced: these objects are ours, also where Argo CD made an empty one (project `default`) before us.
        return [self.kubernetes.apply(one, dry_run=dry_run, force=True) for one in self.bundle.manifests]

    def deliver_secrets(self, secrets: Sequence[Manifest], *, dry_run: bool = False) -> list[Outcome]:
        """Apply Secrets, and before them the namespaces that are not there yet."""
        namespaces = dict.fromkeys(one["metadata"]["namespace"] for one in secrets)
        made = [self._ensure_namespace(name, dry_run=dry_run) for name in namespaces]
        applied = [self.kubernetes.apply(one, dry_run=dry_run, force=True) for one in secrets]
        return [one for one in made if not isinstance(one, Noop)] + applied

    def wait_until_synced(self, *, deadline_s: float = HANDOFF_DEADLINE_S, commit: str = "") -> list[Application]:
        """Refresh and wait until the cluster is in sync with Git; then prove that webhooks answer.

        `commit`: of the platform's repository; what is in sync with it already is not asked to look again. Empty asks
        everything. Raises HandoffDegraded or HandoffSlow with the Application and resource in question.
        """
        self.argocd.refresh(self.argocd.read(), commit=commit)
        seen = self.argocd.wait_until_synced(clock=self.clock, deadline_s=deadline_s, log=self.log)
        self.check_webhooks()
        return seen

    def check_webhooks(self) -> None:
        """Ask cert-manager's admission webhook with a dry run: it answers, or the API server's error is raised."""
        probe: Manifest = {
            "apiVersion": "cert-manager.io/v1",
            "kind": "ClusterIssuer",
            "metadata": {"name": "infraflux-webhook-probe"},
            "spec": {"selfSigned": {}},
        }
        self._repeat(lambda: self.kubernetes.apply(probe, dry_run=True), deadline_s=WEBHOOK_DEADLINE_S)

    def owner(self, component: str) -> str:
        """Who writes a component now: `Argo CD (Application cilium)`, `InfraFlux (helm)` or `nobody`."""
        application = self.argocd.owns(MARKERS[component])
        if application:
            return f"Argo CD (Application {application})"
        return "nobody" if self.kubernetes.read(MARKERS[component]) is None else "InfraFlux (helm)"

    def _first_install(
        self, component: str, *, deadline_s: float, dry_run: bool, then: Callable[[], object] = lambda: None
    ) -> Outcome:
        """Install, do `then`, and wait for the pods; nothing of it once Argo CD owns the component."""
        application = self.argocd.owns(MARKERS[component])
        if application:
            return Noop(
                f"Argo CD owns {component} since the handoff (Application {application}); Git is where it changes"
            )
        with TemporaryDirectory(prefix="infraflux-values-") as directory:
            chart = self.chart(component, Path(directory))
            outcome = self.helm.ensure(chart, deadline_s=deadline_s, dry_run=dry_run, log=self.log)
        if not dry_run:
            then()
            self._wait_until_runs(chart, deadline_s=deadline_s)
        return outcome

    def chart(self, component: str, directory: Path) -> Chart:
        """The chart as Argo CD will render it: the same version, and the same values in the same order."""
        entry = read_component(self.tree, component)
        wanted = self.spec.platform.component(component)
        home = self.tree / "infrastructure" / component
        generated = directory / f"{component}.generated.json"
        generated.write_text(values_text(self.bundle.values.get(component, {})))
        own = directory / f"{component}.values.json"
        own.write_text(values_text(wanted.values if wanted else {}))
        overlay = home / "overlays" / self.spec.environment / "values.yaml"
        return Chart(
            release=entry["release"],
            namespace=entry["namespace"],
            name=entry["chart"],
            version=wanted.version if wanted else entry["version"],
            repository=(wanted and wanted.repository) or self.spec.platform.chart_repository or entry["repository"],
            values=tuple(path for path in (home / "base" / "values.yaml", overlay, generated, own) if path.exists()),
        )

    def _ensure_namespace(self, name: str, *, dry_run: bool) -> Outcome:
        """Make a namespace that a Secret needs before its component's own manifest brings labels and policies."""
        if self.kubernetes.read(Ref(api_version="v1", kind="Namespace", name=name)) is not None:
            return Noop(f"namespace {name} exists")
        manifest: Manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        return self.kubernetes.apply(manifest, dry_run=dry_run)

    def _wait_for_kinds(self, *kinds: str, api_version: str = API, deadline_s: float = CRD_DEADLINE_S) -> None:
        for kind in kinds:
            probe = Ref(api_version=api_version, kind=kind, namespace="argocd", name="infraflux-probe")
            self._repeat(partial(self.kubernetes.require_kind, probe), deadline_s=deadline_s)

    def _wait_until_runs(self, chart: Chart, *, deadline_s: float) -> None:
        def look() -> NotYet | None:
            unready = read_unready(self.kubernetes, namespace=chart.namespace, release=chart.release)
            return NotYet("; ".join(str(one) for one in unready)) if unready else None

        late = wait_until(look, clock=self.clock, deadline_s=deadline_s, what=f"the pods of {chart.release}")
        if late is not None:
            raise Retryable(
                f"after {deadline_s:.0f} s not all of {chart.release} runs; last seen: {late}",
                cluster=self.spec.key,
                stage="platform",
                next_step=f"kubectl --namespace {chart.namespace} describe pods, then run the same command again",
            )

    def _require_gateway_api(self) -> None:
        try:
            # Talos fetches them while the first nodes join: by now they are there, or seconds away.
            self._wait_for_kinds(
                "GatewayClass", api_version="gateway.networking.k8s.io/v1", deadline_s=GATEWAY_API_DEADLINE_S
            )
        except KindMissing as error:
            raise Permanent(
                "the cluster has no Gateway API, and the platform's Gateway needs it: neither Kubernetes nor Cilium"
                " brings its CRDs",
                cluster=self.spec.key,
                stage="platform",
                error_class=ErrorClass.CONFIG,
                next_step="let control planes fetch `platform.gateway.manifests`; `talosctl dmesg` says why not"
                " (docs/handoff.md, Gateway and certificates)",
            ) from error

    def _repeat(self, call: Callable[[], object], *, deadline_s: float) -> None:
        """Repeat a call while it fails in a way that passes; the last error is raised at the deadline."""

        def attempt() -> NotYet | None:
            try:
                call()
            except Retryable as error:
                return NotYet(error.message, error)
            return None

        late = wait_until(attempt, clock=self.clock, deadline_s=deadline_s, interval_s=1.0, what="the API server")
        if late is not None and late.cause is not None:
            raise late.cause.located(cluster=self.spec.key, stage="platform")


def read_component(tree: Path, name: str) -> dict[str, str]:
    """The registration of a component. Raises Permanent where the directory has none."""
    path = tree / "infrastructure" / name / "component.yaml"
    try:
        entry: dict[str, str] = YAML(typ="safe", pure=True).load(path.read_text())["component"]
    except (OSError, KeyError, TypeError) as error:
        raise Permanent(
            f"platform/infrastructure/{name} has no component.yaml",
            stage="platform",
            error_class=ErrorClass.CONFIG,
            next_step="add it, as docs/handoff.md shows, or switch the component off",
        ) from error
    return entry


__all__ = ["Bundle", "Done", "Installer", "Releases", "read_component"]
