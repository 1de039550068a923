"""The order of the handoff, the values of the first install, and who is left alone."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.clock import FakeClock
from fakes.specs import make_spec

from infraflux.adapters.kubernetes.client import KindMissing
from infraflux.adapters.kubernetes.workloads import RELEASE
from infraflux.core.errors import Permanent, Retryable
from infraflux.core.outcomes import Done, Noop
from infraflux.operations.installer import Bundle, Installer, read_component
from infraflux.operations.platform import open_platform

TREE = Path(__file__).parents[3] / "platform"


class Recorder:
    """Kubernetes that has nothing but `there`, and fails `busy` times before it applies."""

    def __init__(self, *there, busy=0, unserved=(), starting=()):
        self.there, self.busy, self.applied, self.managers = set(there), busy, [], []
        self.unserved, self.starting = unserved, list(starting)

    def read(self, ref):
        return {} if ref.name in self.there else None

    def list_objects(self, _api_version, kind, *, namespace):
        """One Deployment that is not ready, for as many looks as `starting` has."""
        if kind != "Deployment" or not self.starting:
            return []
        self.applied.append(f"look at {namespace}")
        name = self.starting.pop()
        return [{"kind": kind, "metadata": {"name": name, "annotations": {RELEASE: name.partition("-")[0]}}}]

    def require_kind(self, ref):
        if ref.kind in self.unserved:
            raise KindMissing(f"the API server knows no {ref.kind}")

    def apply(self, manifest, *, dry_run=False, force=False, manager="infraflux"):
        if self.busy:
            self.busy -= 1
            raise Retryable("failed calling webhook")
        self.applied.append(manifest["metadata"]["name"])
        self.managers.append(manager)
        return Done(f"create {manifest['metadata']['name']}")


class Owner:
    def __init__(self, name):
        self.name = name

    def owns(self, ref):
        return self.name


class Helm:
    def __init__(self, *unreachable):
        self.charts, self.unreachable = [], unreachable

    def read_crds(self, chart):
        if chart.name in self.unreachable:
            raise Retryable(f"no such host for {chart.name}")
        return [{"apiVersion": "apiextensions.k8s.io/v1", "kind": "X", "metadata": {"name": f"crd-of-{chart.name}"}}]

    def ensure(self, chart, **_):
        self.charts.append((chart, [json.loads(path.read_text()) for path in chart.values if path.suffix == ".json"]))
        return Done("installed")


def installer(*, owner=None, kubernetes=None, manifests=(), clock=None, **spec):
    components = [{"name": "cilium", "version": "1.19.9", "values": {"debug": {"enabled": True}}}]
    return Installer(
        spec=make_spec(**({"platform": {"components": components}} | spec)),
        tree=TREE,
        bundle=Bundle(values={"cilium": {"cluster": {"id": 7}}}, manifests=list(manifests)),
        kubernetes=kubernetes or Recorder(),
        helm=Helm(),
        argocd=Owner(owner),
        clock=clock or FakeClock(),
    )


def manifest(name, namespace="argocd"):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}}


def test_first_install_has_the_version_and_values_of_the_cluster():
    one = installer()
    one.install_cilium()
    chart, generated = one.helm.charts[0]
    assert (chart.release, chart.namespace, chart.version) == ("cilium", "kube-system", "1.19.9")
    assert chart.repository == "https://helm.cilium.io"
    assert [path.parent.name for path in chart.values[:2]] == ["base", "dev"]
    assert generated == [{"cluster": {"id": 7}}, {"debug": {"enabled": True}}], "the cluster's own values come last"


def test_a_mirror_replaces_the_upstream():
    one = installer(platform={"chart_repository": "https://mirror.example.org", "components": []})
    one.install_cilium()
    assert one.helm.charts[0][0].repository == "https://mirror.example.org"


def without_addons(**changes):
    names = ("external-secrets", "external-dns", "longhorn", "velero")
    components = [{"name": name, "version": "1.0.0", "enabled": False} for name in names]
    return installer(platform={"components": components}, **changes)


def test_kinds_of_every_component_come_before_argo_cd_and_under_its_name():
    kubernetes = Recorder()
    one = without_addons(kubernetes=kubernetes)
    one.install_argocd()
    assert kubernetes.applied == ["crd-of-cert-manager", "crd-of-kube-prometheus-stack"]
    assert set(kubernetes.managers) == {"argocd-controller"}
    assert [chart.name for chart, _ in one.helm.charts] == ["argo-cd"]


def test_argo_cd_has_its_work_before_its_last_pod_runs():
    kubernetes, clock = Recorder("argocd", starting=["argocd-server"] * 2), FakeClock()
    one = without_addons(kubernetes=kubernetes, manifests=[manifest("project"), manifest("root")], clock=clock)
    one.install_argocd()
    assert kubernetes.applied[-4:] == ["project", "root", "look at argocd", "look at argocd"]


def test_an_argo_cd_that_does_not_start_is_named():
    kubernetes = Recorder("argocd", starting=["argocd-server"] * 10_000)
    with pytest.raises(Retryable, match=r"Deployment argocd-server: 0 of 1 ready"):
        without_addons(kubernetes=kubernetes).install_argocd()


def test_a_cilium_that_does_not_start_is_named():
    with pytest.raises(Retryable, match=r"not all of cilium runs; last seen: Deployment cilium-operator: 0 of 1 ready"):
        installer(kubernetes=Recorder(starting=["cilium-operator"] * 10_000)).install_cilium()


def test_what_is_not_of_the_release_is_not_waited_for():
    installer(kubernetes=Recorder(starting=["coredns"] * 10_000)).install_cilium()


def test_cilium_is_not_installed_without_the_gateway_api():
    kubernetes = Recorder(unserved=["GatewayClass"])
    one = installer(kubernetes=kubernetes)
    with pytest.raises(Permanent, match="no Gateway API"):
        one.install_cilium()
    assert one.helm.charts == []


def test_secrets_are_there_before_the_pods_that_mount_them():
    kubernetes = Recorder("argocd")
    without_addons(kubernetes=kubernetes).install_argocd([manifest("sops-age")])
    assert kubernetes.applied[0] == "sops-age"


def test_kinds_are_not_touched_once_argo_cd_is_there():
    kubernetes = Recorder("argocd-server")
    without_addons(kubernetes=kubernetes).install_argocd()
    assert kubernetes.applied == []


def test_a_chart_out_of_reach_is_left_to_argo_cd():
    lines, kubernetes = [], Recorder()
    one = replace(without_addons(kubernetes=kubernetes), helm=Helm("cert-manager"), log=lines.append)
    one.install_argocd()
    assert kubernetes.applied == ["crd-of-kube-prometheus-stack"]
    assert lines == ["CRDs of cert-manager will come with Argo CD: no such host for cert-manager"]


def test_what_argo_tracks_is_left_alone():
    one = installer(owner="cilium")
    outcome = one.install_cilium()
    assert isinstance(outcome, Noop)
    assert "Application cilium" in outcome.reason
    assert one.helm.charts == []


def test_secrets_are_there_before_the_root_application():
    kubernetes = Recorder("argocd")
    one = installer(kubernetes=kubernetes, manifests=[manifest("project"), manifest("root")])
    one.hand_off([manifest("repository"), manifest("provider", namespace="external-secrets")])
    assert kubernetes.applied == ["external-secrets", "repository", "provider", "project", "root"]


def test_a_cluster_without_the_gateway_api_is_refused_before_anything_is_handed_over():
    kubernetes, clock = Recorder("argocd", unserved=["GatewayClass"]), FakeClock()
    one = installer(kubernetes=kubernetes, manifests=[manifest("root")], clock=clock)
    with pytest.raises(Permanent, match=r"no Gateway API.*platform.gateway.manifests"):
        one.hand_off([manifest("repository")])
    assert kubernetes.applied == []
    assert clock.now >= 180, "Talos may still be bringing it"


def test_webhook_is_asked_until_it_answers():
    clock = FakeClock()
    installer(kubernetes=Recorder(busy=3), clock=clock).check_webhooks()
    assert clock.now == 3


def test_webhook_that_never_answers_raises_what_the_server_said():
    with pytest.raises(Retryable, match="failed calling webhook"):
        installer(kubernetes=Recorder(busy=10_000)).check_webhooks()


@pytest.mark.parametrize("outputs", [{}, {"platform": None}, {"platform": {"values": {}}}])
def test_a_state_without_the_output_says_what_to_do(outputs):
    with pytest.raises(Permanent, match="infraflux deploy"):
        Bundle.from_outputs(outputs)


def test_a_cluster_without_kubeconfig_says_what_to_do(tmp_path):
    with pytest.raises(Permanent, match="infraflux cluster bootstrap dev/dev-1"):
        open_platform(make_spec(), root=tmp_path, outputs={})


def test_an_unregistered_component_is_a_configuration_error(tmp_path):
    with pytest.raises(Permanent, match=r"component\.yaml"):
        read_component(tmp_path, "nothing")
