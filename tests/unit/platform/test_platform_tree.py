"""The platform directory is data with rules: what every component must have, and what an overlay may say."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[3]
COMPONENTS = sorted(path.parent for path in (ROOT / "platform/infrastructure").glob("*/component.yaml"))
CHARTS = ROOT / "lab/src/infraflux_lab/gitops/charts"
STAGES = {"network", "foundation", "services"}


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text()) or {}


def leaves(tree: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if isinstance(tree, dict) and tree:
        return {key: value for name, child in tree.items() for key, value in leaves(child, (*path, name)).items()}
    return {path: tree} if path else {}


@pytest.fixture(params=COMPONENTS, ids=lambda path: path.name)
def component(request):
    return request.param


def test_every_directory_registers_itself():
    directories = {path for path in (ROOT / "platform/infrastructure").iterdir() if path.is_dir()}
    assert directories == set(COMPONENTS)


def test_component_file_is_complete(component):
    entry = read(component / "component.yaml")["component"]
    assert set(entry) == {"name", "stage", "namespace", "release", "chart", "repository", "version"}
    assert entry["name"] == component.name
    assert entry["stage"] in STAGES
    assert entry["repository"].startswith("https://")


def overlays(*files: str) -> list[Path]:
    """The overlays of every component that have one of these files."""
    return [path for path in (ROOT / "platform/infrastructure").glob("*/overlays/*/*.yaml") if path.name in files]


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT / "platform/infrastructure"))


@pytest.mark.parametrize("path", overlays("values.yaml"), ids=shown)
def test_overlay_holds_differences_and_nothing_else(path):
    base = leaves(read(path.parents[2] / "base/values.yaml"))
    overlay = leaves(read(path))
    # prod says again that nobody is admin: a changed base must not open it.
    stated_twice = {("configs", "cm", "admin.enabled")} if path.parent.name == "prod" else set()
    assert overlay
    assert {key for key, value in overlay.items() if base.get(key) == value} <= stated_twice


@pytest.mark.parametrize("path", overlays("kustomization.yaml"), ids=shown)
def test_overlay_of_objects_is_a_component_that_argo_cd_can_add_to_base(path):
    assert read(path)["kind"] == "Component"


def test_every_overlay_is_of_an_environment_there_is():
    known = {path.stem for path in (ROOT / "config/environments").glob("*.yaml")}
    assert {path.parent.name for path in overlays("values.yaml", "kustomization.yaml")} <= known


def test_no_environment_needs_an_overlay():
    sources = read(ROOT / "platform/bootstrap/stage/applicationset.yaml")["spec"]["template"]["spec"]["sources"]
    chart = next(one for one in sources if "chart" in one)
    beside = next(one for one in sources if "kustomize" in one)
    assert chart["helm"]["ignoreMissingValueFiles"] is True
    assert beside["path"].endswith("/base")
    assert beside["kustomize"]["ignoreMissingComponents"] is True


def test_stand_in_has_the_version_of_the_component(component):
    entry = read(component / "component.yaml")["component"]
    chart = read(CHARTS / entry["chart"] / "Chart.yaml")
    assert (chart["name"], chart["version"]) == (entry["chart"], entry["version"])


def test_stand_ins_share_one_helper():
    assert len({path.read_text() for path in CHARTS.glob("*/templates/_standin.tpl")}) == 1


def test_stand_in_schemas_refuse_what_they_do_not_know():
    for path in CHARTS.glob("*/values.schema.json"):
        assert json.loads(path.read_text())["additionalProperties"] is False, path


ACCEPTED = {
    "etcd's metrics": (
        "kube-prometheus-stack",
        {"kubeEtcd": {"enabled": True, "service": {"port": 2381, "targetPort": 2381}, "endpoints": ["10.0.0.11"]}},
    ),
    "a CA and host keys of one's own": (
        "argo-cd",
        {"configs": {"ssh": {"extraHosts": "a"}, "tls": {"certificates": {"git.example.net": "-----BEGIN"}}}},
    ),
    "a key that the real chart only has in a comment": ("argo-cd", {"server": {"service": {"someKey": 1}}}),
    "a first key of the real chart": ("velero", {"nodeAgent": {"resources": {}}}),
}


@pytest.mark.parametrize(("chart", "values"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_stand_ins_accept_what_the_real_chart_accepts(chart, values):
    schema = json.loads((CHARTS / chart / "values.schema.json").read_text())
    jsonschema.validate(values, schema)


def test_a_stand_in_refuses_a_first_key_that_the_real_chart_has_not():
    schema = json.loads((CHARTS / "argo-cd" / "values.schema.json").read_text())
    with pytest.raises(jsonschema.ValidationError, match="'configz' was unexpected"):
        jsonschema.validate({"configz": {}}, schema)


def test_namespaces_of_components_say_their_pod_security(component):
    path = component / "base/namespace.yaml"
    if component.name == "cilium":
        assert not path.exists(), "kube-system belongs to Kubernetes"
        return
    namespace = read(path)
    assert namespace["metadata"]["name"] == read(component / "component.yaml")["component"]["namespace"]
    assert "pod-security.kubernetes.io/enforce" in namespace["metadata"]["labels"]


def test_prod_has_no_admin():
    base = read(ROOT / "platform/infrastructure/argocd/base/values.yaml")
    prod = read(ROOT / "platform/infrastructure/argocd/overlays/prod/values.yaml")
    assert base["configs"]["cm"]["admin.enabled"] is False
    assert prod["configs"]["cm"]["admin.enabled"] is False
    assert base["configs"]["rbac"]["policy.default"] == ""
    assert "policy.default" not in prod.get("configs", {}).get("rbac", {})


def test_cilium_is_set_up_for_talos():
    values = read(ROOT / "platform/infrastructure/cilium/base/values.yaml")
    assert values["kubeProxyReplacement"] is True
    assert (values["k8sServiceHost"], values["k8sServicePort"]) == ("localhost", 7445)
    assert values["cgroup"] == {"autoMount": {"enabled": False}, "hostRoot": "/sys/fs/cgroup"}
    assert "SYS_MODULE" not in values["securityContext"]["capabilities"]["ciliumAgent"]


def test_stages_wait_in_order():
    waves = {}
    for stage in STAGES:
        kustomization = read(ROOT / f"platform/bootstrap/stages/{stage}/kustomization.yaml")
        waves[stage] = int(kustomization["commonAnnotations"]["argocd.argoproj.io/sync-wave"])
        assert f"value: {stage}" in kustomization["patches"][0]["patch"]
    applications = read(ROOT / "platform/bootstrap/applications/charts.yaml")
    last = int(applications["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"])
    # Cilium is there before Argo CD is: nothing has to wait for it.
    assert waves["network"] == waves["foundation"] < waves["services"] < last
