"""What Terraform is told of the platform follows from the spec alone."""

import json

from fakes.specs import make_spec

from infraflux.render.platform import render_platform


def test_components_carry_version_switch_and_values():
    spec = make_spec(
        platform={
            "components": [
                {"name": "cilium", "version": "1.19.3", "values": {"debug": {"enabled": True}}},
                {"name": "longhorn", "version": "1.11.2", "enabled": False},
            ]
        }
    )
    components = render_platform(spec)["components"]
    assert json.loads(components["cilium"]["values"]) == {"debug": {"enabled": True}}
    assert components["longhorn"]["enabled"] is False


def test_storage_class_comes_with_longhorn():
    def classes(enabled):
        longhorn = {"name": "longhorn", "version": "1.11.2", "enabled": enabled}
        return render_platform(make_spec(platform={"components": [longhorn]}))["storage_classes"]

    assert classes(True) == ["longhorn"]
    assert classes(False) == []


def test_pools_are_first_and_last_address():
    pools = render_platform(make_spec())["load_balancer"]["pools"]
    assert pools == [{"name": "main", "first": "10.0.0.200", "last": "10.0.0.219"}]


def test_platform_path_is_below_the_project():
    gitops = {"application": {"url": "https://git.example.org/apps.git"}}
    for path, wanted in ((".", "platform"), ("infra/", "infra/platform")):
        spec = make_spec(gitops=gitops | {"platform": {"url": "https://git.example.org/p.git", "path": path}})
        assert render_platform(spec)["platform_repository"]["path"] == wanted


def test_no_reference_to_a_secret_leaves_the_spec():
    spec = make_spec(
        gitops={
            "platform": {"url": "https://git.example.org/p.git", "credentials": "env:GIT_CANARY"},
            "application": {"url": "https://git.example.org/a.git", "credentials": "file:secrets/canary"},
            "secret_zero": "env:ZERO_CANARY",
        }
    )
    assert "canary" not in json.dumps(render_platform(spec)).lower()


def test_without_application_repository_and_gateway():
    spec = make_spec(
        platform={"components": [], "gateway": {"enabled": False}},
        gitops={
            "platform": {"url": "https://git.example.org/p.git"},
            "application": {"url": "https://git.example.org/a.git", "enabled": False},
        },
    )
    rendered = render_platform(spec)
    assert rendered["application_repository"] is None
    assert rendered["gateway"] is None
