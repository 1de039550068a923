"""First installs on a real API server: repeatable, and out of what an interrupted call leaves behind."""

import json
from base64 import b64decode, b64encode
from dataclasses import replace
from gzip import compress, decompress
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from infraflux.adapters.kubernetes.client import KindMissing
from infraflux.adapters.kubernetes.facts import Ref
from infraflux.adapters.tools.locate import locate
from infraflux.config.models import ClusterSpec
from infraflux.core.clock import NotYet, SystemClock, wait_until
from infraflux.core.errors import ErrorClass, InfrafluxError
from infraflux.core.outcomes import Done, Noop
from infraflux.core.process import run
from infraflux.operations.chart_check import kustomization_of

pytestmark = [pytest.mark.lab, pytest.mark.tools]

TREE = Path(__file__).parents[3] / "platform"
NEEDED_FIRST = {"CustomResourceDefinition", "Namespace"}
RELEASE = Ref(api_version="v1", kind="Secret", namespace="kube-system", name="sh.helm.release.v1.cilium.v1")


def test_install_then_nothing_to_do(site):
    assert isinstance(site.installer.install_cilium(), Done)
    again = site.installer.install_cilium()
    assert isinstance(again, Noop), again
    config = site.read("ConfigMap", "cilium-config", namespace="kube-system")["data"]
    assert config["k8s-api-server"] == "https://localhost:7445"
    assert config["ipv4-native-routing-cidr"] == str(site.spec.network.pod_cidr)
    assert site.installer.owner("cilium") == "InfraFlux (helm)"


def test_interrupted_first_install_is_finished(site):
    """As if helm had been killed: the only record says pending-install."""
    secret = site.kubernetes.read(RELEASE)
    record = json.loads(decompress(b64decode(b64decode(secret["data"]["release"]))))
    record["info"]["status"] = "pending-install"
    stored = b64encode(b64encode(compress(json.dumps(record).encode()))).decode()
    site.kubernetes.delete(RELEASE)
    meta = {key: secret["metadata"][key] for key in ("name", "namespace", "labels")}
    meta["labels"] = {**meta["labels"], "status": "pending-install"}
    site.kubernetes.apply({**secret, "metadata": meta, "data": {"release": stored}})
    assert site.helm.read_release("cilium", namespace="kube-system").pending

    done = site.installer.install_cilium()

    assert "pending-install" in str(done)
    assert site.helm.read_release("cilium", namespace="kube-system").status == "deployed"
    assert isinstance(site.installer.install_cilium(), Noop)


def test_a_typo_in_the_clusters_values_is_a_configuration_error(site):
    document = site.spec.model_dump(mode="json")
    document["platform"]["components"][0]["values"] = {"hubbel": {"enabled": True}}
    broken = replace(site.installer, spec=ClusterSpec.model_validate(document))
    with pytest.raises(InfrafluxError, match="hubbel") as caught:
        broken.install_cilium()
    assert caught.value.error_class is ErrorClass.CONFIG
    assert site.installer.install_cilium(), "the cluster is as usable as before"


ENVIRONMENTS = ("dev", "staging", "prod", "one-without-overlays")


def rendered(site, name, environment):
    """Chart and the objects beside it, as Argo CD renders them for this environment."""
    document = site.spec.model_dump(mode="json") | {"environment": environment}
    installer = replace(site.installer, spec=ClusterSpec.model_validate(document))
    chart = installer.chart(name, site.directory)
    argv = [locate("helm"), "template", chart.release, chart.name, "--repo", chart.repository, "--include-crds"]
    argv += ["--version", chart.version, "--namespace", chart.namespace]
    argv += [word for path in chart.values for word in ("--values", path)]
    texts = [run(argv, deadline_s=60).require().stdout]
    with kustomization_of(installer.tree / "infrastructure" / name, environment) as directory:
        texts.append(run([locate("kustomize"), "build", directory], deadline_s=60).require().stdout)
    return [one for text in texts for one in YAML(typ="safe").load_all(text) if one]


@pytest.mark.parametrize("name", sorted(path.parent.name for path in TREE.glob("infrastructure/*/component.yaml")))
def test_the_api_server_accepts_every_overlay(site, name):
    """Server-side dry run: schemas, admission and Pod Security of a real API server."""
    everything = {environment: rendered(site, name, environment) for environment in ENVIRONMENTS}
    first = [one for objects in everything.values() for one in objects if one["kind"] in NEEDED_FIRST]
    for one in first:
        site.kubernetes.apply(one, force=True)
    for objects in everything.values():
        for one in objects:
            if one["kind"] not in NEEDED_FIRST:
                with_kind(site, one)
                site.kubernetes.apply(one, dry_run=True, force=True)


def with_kind(site, manifest):
    """A CRD that was made a moment ago is served a moment later."""
    late = wait_until(lambda: served(site, manifest), clock=SystemClock(), deadline_s=30, what="the kind")
    assert late is None, late


def served(site, manifest):
    try:
        site.kubernetes.require_kind(Ref.of(manifest))
    except KindMissing as error:
        return NotYet(error.message)
    return None
