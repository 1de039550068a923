"""Bootstrap, handoff, commit: Git owns the cluster, and a broken application repository never looks green.

One cluster, in the order of the file: each test goes on from where the one before left it.
"""

import os
import re
import shutil
import subprocess
from base64 import b64decode
from datetime import datetime, timedelta

import pytest
from pyrage import x25519
from ruamel.yaml import YAML

from infraflux.adapters.argocd.client import API, HandoffDegraded
from infraflux.adapters.kubernetes.facts import Ref
from infraflux.core.outcomes import Noop

pytestmark = [pytest.mark.lab, pytest.mark.tools, pytest.mark.timeout(900)]

CANARY = "canary-7c1e9b"
COMPONENTS = {"cilium", "argocd", "cert-manager", "monitoring"}


def test_everything_becomes_synced_and_healthy(installed):
    installed.hand_off()
    seen = installed.installer.wait_until_synced(deadline_s=400)
    names = {one.name for one in seen if one.kind == "Application"}
    assert names == {"root", "apps-hello", "apps-clock"} | COMPONENTS


def test_argo_took_over_and_infraflux_keeps_its_hands_off(installed):
    records = installed.kubernetes.list_objects("v1", "Secret", label_selector="owner=helm")
    for outcome in (installed.installer.install_cilium(), installed.installer.install_argocd()):
        assert isinstance(outcome, Noop)
        assert "Argo CD owns" in outcome.reason
    again = installed.hand_off()
    assert [one for one in again if not isinstance(one, Noop)] == []
    after = installed.kubernetes.list_objects("v1", "Secret", label_selector="owner=helm")
    assert {one["metadata"]["name"] for one in records} == {one["metadata"]["name"] for one in after}


def test_argo_stores_a_refreshed_set_as_git_has_it(installed):
    """Else the root is OutOfSync after every refresh, and its self-heal waits longer each time."""

    def generations():
        sets = installed.kubernetes.list_objects(API, "ApplicationSet", namespace="argocd")
        return {one["metadata"]["name"]: one["metadata"]["generation"] for one in sets}

    before = generations()
    argocd = installed.installer.argocd
    argocd.refresh(argocd.read(), hard=True)
    installed.installer.wait_until_synced(deadline_s=400)
    assert generations() == before


def test_kinds_that_came_before_argo_cd_are_its_own(installed):
    """What was applied in its name it finds as wanted: not one CRD of a component was written a second time."""
    crds = installed.kubernetes.list_objects("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    ours = [one for one in crds if one["spec"]["group"] in {"cert-manager.io", "monitoring.coreos.com"}]
    assert len(ours) > 10
    for meta in (one["metadata"] for one in ours):
        (applied,) = [one for one in meta["managedFields"] if one["operation"] == "Apply"]
        made, written = (datetime.fromisoformat(text) for text in (meta["creationTimestamp"], applied["time"]))
        assert applied["manager"] == "argocd-controller", meta["name"]
        assert written - made < timedelta(seconds=2), meta["name"]


def test_argo_renders_what_the_first_install_rendered(installed):
    """Nothing restarts at the handoff: the DaemonSet is still of its first generation."""
    cilium = installed.read("DaemonSet", "cilium", namespace="kube-system", api_version="apps/v1")
    assert cilium["metadata"]["generation"] == 1


def test_the_application_repository_got_the_facts(installed):
    hello = installed.read("ConfigMap", "hello", namespace="apps")["data"]
    assert hello == {"greeting": "hello from dev", "host": f"hello.{installed.spec.network.domain}"}
    facts = installed.read("ConfigMap", "infraflux-facts", namespace="apps")["data"]
    assert facts["contract"] == "v1"
    assert facts["domain"] == installed.spec.network.domain


def test_carried_manifests_are_applied(installed):
    pool = installed.read("CiliumLoadBalancerIPPool", "default", api_version="cilium.io/v2")
    wanted = installed.spec.network.load_balancer.pools[0].addresses
    assert pool["spec"]["blocks"] == [{"start": str(wanted.first), "stop": str(wanted.last)}]


def encrypt(path, *, recipient, sops):
    """As docs/handoff.md says, with the recipient in the environment instead of a .sops.yaml."""
    argv = [sops, "encrypt", "--in-place", "--encrypted-regex", "^(data|stringData)$", path]
    subprocess.run(argv, check=True, capture_output=True, env={"SOPS_AGE_RECIPIENTS": recipient, "PATH": os.defpath})


def add_secret(installed, name, *, recipient, sops):
    home = installed.apps.path / "apps/apps/clock/dev"
    secret = home / f"{name}.sops.yaml"
    metadata = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\n"
    secret.write_text(f"{metadata}stringData: {{password: {CANARY}}}\n")
    encrypt(secret, recipient=recipient, sops=sops)
    assert CANARY not in secret.read_text()
    kustomization = home / "kustomization.yaml"
    document = YAML().load(kustomization.read_text())
    document["resources"].append(secret.name)
    with kustomization.open("w") as stream:
        YAML().dump(document, stream)
    installed.apps.push(f"add {secret.name}")


def test_an_encrypted_secret_of_the_application_repository_is_opened(installed, binaries):
    """By the real plugin server and the real sops, with the identity that the handoff delivered."""
    public = re.search(r"public key: (\S+)", (installed.directory / "applications.age").read_text()).group(1)
    add_secret(installed, "database", recipient=public, sops=binaries["sops"])
    installed.synced()
    data = installed.read("Secret", "database", namespace="apps")["data"]
    assert b64decode(data["password"]).decode() == CANARY


def test_a_secret_for_somebody_else_is_degraded_by_name(installed, binaries):
    stranger = str(x25519.Identity.generate().to_public())
    add_secret(installed, "foreign", recipient=stranger, sops=binaries["sops"])
    with pytest.raises(HandoffDegraded) as caught:
        installed.synced(patience_s=15)
    assert "apps-clock" in str(caught.value)
    assert "foreign.sops.yaml" in str(caught.value) or "data key" in str(caught.value)
    assert CANARY not in str(caught.value)
    installed.apps.git("revert", "--no-edit", "HEAD")
    installed.apps.git("push", "--quiet")
    assert all(one.done for one in installed.synced())


def test_a_commit_changes_the_cluster_and_a_directory_adds_a_component(installed):
    values = installed.platform.path / "platform/infrastructure/cilium/overlays/dev/values.yaml"
    values.write_text("hubble:\n  ui:\n    enabled: false\n")
    home = installed.platform.path / "platform/infrastructure"
    shutil.copytree(home / "external-dns", home / "second-dns")
    for path in (home / "second-dns/component.yaml", home / "second-dns/base/namespace.yaml"):
        path.write_text(
            path.read_text().replace("external-dns\n", "second-dns\n", 2).replace("chart: second", "chart: external")
        )
    installed.platform.push("switch the UI off, add a component")

    names = {one.name for one in installed.synced()}

    assert "second-dns" in names
    assert installed.read("Deployment", "hubble-ui", namespace="kube-system", api_version="apps/v1") is None
    assert installed.read("Namespace", "second-dns") is not None


def test_the_application_repository_stays_inside_its_fence_and_its_schemas(installed):
    for place, namespace in (("kube-system/evil", None), ("apps/sneaky", "argocd")):
        home = installed.apps.path / "apps" / place / "dev"
        home.mkdir(parents=True)
        where = f", namespace: {namespace}" if namespace else ""
        name = place.split("/")[1]
        (home / "map.yaml").write_text(f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}{where}}}\n")
        (home / "kustomization.yaml").write_text("resources: [map.yaml]\n")
    misspelt = installed.apps.path / "apps/apps/misspelt/dev"
    misspelt.mkdir(parents=True)
    (misspelt / "map.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: misspelt}\ndta: {a: b}\n")
    (misspelt / "kustomization.yaml").write_text("resources: [map.yaml]\n")
    installed.apps.push("reach out of the fence, misspell a field")

    with pytest.raises(HandoffDegraded) as caught:
        installed.synced(patience_s=15)

    assert "kube-system-evil" in str(caught.value)
    maps = {one["metadata"]["name"] for one in installed.kubernetes.list_objects("v1", "ConfigMap")}
    assert not maps & {"evil", "sneaky", "misspelt"}
    refused = installed.read("Application", "apps-misspelt", namespace="argocd", api_version=API)
    assert "field not declared in schema" in refused["status"]["operationState"]["message"]
    installed.apps.git("revert", "--no-edit", "HEAD")
    installed.apps.git("push", "--quiet")
    assert "kube-system-evil" not in {one.name for one in installed.synced()}


def test_a_closed_application_repository_is_degraded_by_name_and_the_platform_stays_well(installed):
    wrong = installed.directory / "wrong"
    wrong.write_text(f"infraflux:{CANARY}")
    installed.hand_off(credentials=wrong)
    with pytest.raises(HandoffDegraded) as caught:
        installed.synced(patience_s=15)
    assert CANARY not in str(caught.value)
    installed.hand_off()
    assert "apps-" in str(caught.value)
    assert "authentication" in str(caught.value)
    well = {one.name for one in installed.installer.argocd.read() if one.kind == "Application" and one.sync == "Synced"}
    assert well >= COMPONENTS
    assert all(one.done for one in installed.synced())


def test_a_missing_application_repository_is_degraded_by_name(installed):
    here = Ref(api_version="v1", kind="Secret", namespace="argocd", name=f"cluster-{installed.spec.name}")
    nowhere = installed.spec.gitops.application.url.replace("platform-north-star", "nowhere")
    installed.kubernetes.annotate(here, {"infraflux.io/application-repository": nowhere})
    with pytest.raises(HandoffDegraded) as caught:
        installed.synced(patience_s=15)
    assert "ApplicationSet applications" in str(caught.value)
    assert not any(one.done for one in installed.installer.argocd.read() if one.name == "root"), "never green"
    installed.hand_off()
    assert all(one.done for one in installed.synced())


def test_letting_go_deletes_nothing_and_leaves_no_finalizer(installed):
    before = installed.read("DaemonSet", "cilium", namespace="kube-system", api_version="apps/v1")["metadata"]["uid"]
    installed.installer.argocd.release(clock=installed.installer.clock)
    for kind in ("Application", "ApplicationSet"):
        assert installed.kubernetes.list_objects(API, kind, namespace="argocd") == []
    after = installed.kubernetes.read(
        Ref(api_version="apps/v1", kind="DaemonSet", namespace="kube-system", name="cilium")
    )
    assert after["metadata"]["uid"] == before
    assert installed.read("Deployment", "hello", namespace="apps", api_version="apps/v1") is not None
