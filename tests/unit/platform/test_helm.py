"""Release states lead to one decision each; what helm prints is read as it is."""

import json

import pytest

from infraflux.adapters.helm import Chart, Helm, HelmRelease, Install, merge_values, plan_install
from infraflux.core.errors import ErrorClass, Permanent, Retryable
from infraflux.core.outcomes import Done, Noop
from infraflux.core.process import Completed

CHART = Chart(release="cilium", namespace="kube-system", name="cilium", repository="https://c", version="1.19.3")


def release(**changes):
    return HelmRelease(
        **({"status": "deployed", "revision": 2, "chart_version": "1.19.3", "values": {"a": 1}} | changes)
    )


@pytest.mark.parametrize(
    ("seen", "before", "wanted"),
    [
        (None, None, Install(why="release cilium does not exist")),
        (release(), 2, Noop("release cilium is deployed at chart 1.19.3 with these values")),
        (release(values={"a": 2}), 2, Install(why="values of release cilium changed")),
        (release(chart_version="1.18.0"), 2, Install(why="release cilium is at chart 1.18.0, wanted 1.19.3")),
        (release(status="failed"), 1, Install(why="release cilium is failed")),
        (
            release(status="pending-upgrade"),
            1,
            Install(why="release cilium is stuck in pending-upgrade", recover="rollback"),
        ),
        (
            release(status="pending-install"),
            None,
            Install(why="release cilium is stuck in pending-install", recover="forget"),
        ),
    ],
    ids=lambda value: getattr(value, "status", None),
)
def test_each_state_has_one_answer(seen, before, wanted):
    assert plan_install(CHART, {"a": 1}, seen=seen, deployed_before=before) == wanted


def test_values_merge_as_helm_does(tmp_path):
    (tmp_path / "a.yaml").write_text("x: {one: 1, two: 2}\nlist: [1, 2]\n")
    (tmp_path / "b.yaml").write_text("x: {two: 3}\nlist: [9]\n")
    (tmp_path / "c.json").write_text("{}")
    files = [tmp_path / name for name in ("a.yaml", "b.yaml", "c.json")]
    assert merge_values(files) == {"x": {"one": 1, "two": 3}, "list": [9]}


class FakeHelm:
    """Answers by sub-command; remembers what it was asked."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []

    def __call__(self, argv, *, deadline_s, env=None, on_line=None):
        words = [str(word) for word in argv][1:]
        self.asked.append(words)
        assert {"HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"} == set(env)
        code, out, err = self.answers[words[0]]
        return Completed(argv=("helm", *words), returncode=code, stdout=out, stderr=err, elapsed_s=0)

    def commands(self):
        return [words[0] for words in self.asked]


def helm(fake, tmp_path, forgotten):
    return Helm(
        binary=tmp_path / "helm",
        kubeconfig=tmp_path / "kubeconfig",
        forget_record=lambda namespace, name: forgotten.append((namespace, name)),
        cluster="dev/dev-1",
        run=fake,
    )


def seen(status, chart="cilium-1.19.3", revision=1):
    return {
        "status": (0, json.dumps({"info": {"status": status}, "version": revision}), ""),
        "get": (0, "null", ""),
        "history": (0, json.dumps([{"revision": revision, "status": status, "chart": chart}]), ""),
        "upgrade": (0, "", ""),
    }


def test_deployed_release_is_left_alone(tmp_path):
    fake = FakeHelm(**seen("deployed"))
    assert isinstance(helm(fake, tmp_path, []).ensure(CHART, deadline_s=60), Noop)
    assert "upgrade" not in fake.commands()


def test_interrupted_first_install_is_forgotten_and_its_objects_taken_over(tmp_path):
    fake, forgotten = FakeHelm(**seen("pending-install")), []
    done = helm(fake, tmp_path, forgotten).ensure(CHART, deadline_s=60)
    assert isinstance(done, Done)
    assert forgotten == [("kube-system", "sh.helm.release.v1.cilium.v1")]
    assert "--take-ownership" in fake.asked[-1]


def test_helm_waits_for_no_pods(tmp_path):
    """Charts make with a hook, after that wait, what their pods need to start."""
    fake = FakeHelm(status=(1, "", "Error: release: not found"), upgrade=(0, "", ""))
    helm(fake, tmp_path, []).ensure(CHART, deadline_s=60)
    assert "--wait" not in fake.asked[-1]


def test_dry_run_changes_nothing(tmp_path):
    fake, forgotten = FakeHelm(**seen("pending-install")), []
    done = helm(fake, tmp_path, forgotten).ensure(CHART, deadline_s=60, dry_run=True)
    assert str(done).startswith("would install")
    assert (forgotten, "upgrade" in fake.commands()) == ([], False)


@pytest.mark.parametrize(
    ("printed", "version"), [("kube-prometheus-stack-88.5.3", "88.5.3"), ("cert-manager-v1.20.2", "v1.20.2")]
)
def test_chart_version_is_what_follows_the_name(tmp_path, printed, version):
    found = helm(FakeHelm(**seen("deployed", chart=printed)), tmp_path, []).read_release("x", namespace="y")
    assert found.chart_version == version


@pytest.mark.parametrize(
    ("stderr", "kind", "error_class"),
    [
        ('Get "https://10.0.0.1": dial tcp: connection refused', Retryable, ErrorClass.TRANSIENT),
        ("values don't meet the specifications of the schema(s)", Permanent, ErrorClass.CONFIG),
        ("chart cilium version 9 not found in https://c", Permanent, ErrorClass.CONFIG),
    ],
)
def test_errors_have_a_class(tmp_path, stderr, kind, error_class):
    fake = FakeHelm(status=(1, "", "Error: release: not found"), upgrade=(1, "", stderr))
    with pytest.raises(kind) as caught:
        helm(fake, tmp_path, []).ensure(CHART, deadline_s=60)
    assert (caught.value.error_class, caught.value.cluster) == (error_class, "dev/dev-1")


def test_only_crds_are_read_from_a_rendering(tmp_path):
    text = "---\n# Source: a\nkind: Deployment\nspec: {note: CustomResourceDefinition}\n"
    text += "---\n# Source: b\nkind: CustomResourceDefinition\nmetadata: {name: things.example.org}\n---\n"
    fake = FakeHelm(template=(0, text, ""))
    assert [one["metadata"]["name"] for one in helm(fake, tmp_path, []).read_crds(CHART)] == ["things.example.org"]
    assert "--include-crds" in fake.asked[-1]
