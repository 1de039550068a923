"""What Talos puts into a cluster by itself, through the real API server, and how it is listed."""

import json
import subprocess

import pytest

from infraflux.adapters.tools.locate import locate

pytestmark = [pytest.mark.lab, pytest.mark.tools]

RUNTIME_CLASS = "apiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata: {name: gvisor}\nhandler: runsc\n"
NO_KIND = "apiVersion: example.org/v1\nkind: Nothing\nmetadata: {name: x}\n"


def kubectl(world, tmp_path, *words, check=True):
    path = tmp_path / "kubeconfig"
    if not path.exists():
        world.talosctl("kubeconfig", str(path), node=11)
    argv = [str(locate("kubectl")), "--kubeconfig", str(path), *words]
    return subprocess.run(argv, check=check, capture_output=True, text=True, timeout=60).stdout


def test_manifests_are_applied_once_and_only_where_absent(real, tmp_path):
    real.cluster(control_planes=1, workers=1)
    real.until(lambda: "manifests-applied" in real.log.kinds(), "manifests")
    assert kubectl(real, tmp_path, "get", "svc", "-n", "kube-system", "kube-dns", "-o", "jsonpath={.spec.clusterIP}")
    owners = "jsonpath={.metadata.managedFields[*].manager}"
    assert "talos" in kubectl(real, tmp_path, "get", "deploy", "-n", "kube-system", "coredns", "-o", owners)
    # The CNI that Talos brings where the configuration names none makes the nodes Ready.
    kubectl(real, tmp_path, "wait", "nodes", "--all", "--for=condition=Ready", "--timeout=60s")
    kubectl(real, tmp_path, "rollout", "status", "-n", "kube-system", "deployment/coredns", "--timeout=60s")

    listed = real.talosctl("get", "manifests", node=11).out
    for name in ("05-flannel", "10-kube-proxy", "11-core-dns", "11-core-dns-svc"):
        assert name in listed
    assert "11-core-dns" in real.talosctl("get", "manifeststatus", "-o", "yaml", node=11).out

    # Another set of inline manifests: what is new is created, what was deleted stays away, what is no kind is said.
    kubectl(real, tmp_path, "delete", "configmap", "-n", "kube-system", "kubeconfig-in-cluster")
    inline = [{"name": "rc", "contents": RUNTIME_CLASS}, {"name": "bad", "contents": NO_KIND}]
    patch = json.dumps({"cluster": {"inlineManifests": inline}})
    real.talosctl("patch", "machineconfig", "--patch", patch, node=11)
    real.until(lambda: "manifest-refused" in real.log.kinds(), "the refused one")
    assert "runsc" in kubectl(real, tmp_path, "get", "runtimeclass", "gvisor", "-o", "yaml")
    names = kubectl(real, tmp_path, "get", "configmaps", "-n", "kube-system", "-o", "name").split()
    assert "configmap/kubeconfig-in-cluster" not in names
    assert "configmap/talos-bootstrap-manifests-inventory" in names
    assert "99-rc" in real.talosctl("get", "manifests", node=11).out
