"""Handoff: from a ready Argo CD to the root Healthy, against `kubectl apply` of the same objects on an equal cluster.

Prints the ratio; nothing is asserted. Both clusters are fresh, with Cilium and Argo CD installed and nothing else; the
applications are in both. What makes up the difference is order: Argo CD waits for each stage, kubectl waits for the
end only. `PYTHONPATH=tests python tests/bench/bench_handoff.py`
"""

import json
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from labkit.platform_site import NET, PROGRAMS, control_plane, open_site
from ruamel.yaml import YAML

from infraflux.adapters.tools.locate import locate, this_machine

COMPONENTS = ("argocd", "cert-manager", "cilium", "monitoring")
WORKLOADS = ("deployment", "daemonset", "statefulset")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def rootless(site: object) -> object:
    """What InfraFlux hands over, but for the root: Argo CD then leaves all the rest to kubectl."""
    bundle = site.installer.bundle
    return replace(bundle, manifests=[one for one in bundle.manifests if one["kind"] != "Application"])


class WithoutKinds:
    """helm whose charts bring no CRDs: kubectl is to make them itself."""

    def __init__(self, helm: object) -> None:
        self._helm = helm

    def __getattr__(self, name: str) -> object:
        return getattr(self._helm, name)

    def read_crds(self, _chart: object) -> list[object]:
        return []


@contextmanager
def cluster(*, kinds: bool) -> object:
    """A fresh cluster with Cilium and Argo CD, as the lab tests have it; yields it, and seconds for the CRDs."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        binaries = {one: this_machine().find(one).path for one in PROGRAMS}
        with control_plane(binaries, directory) as kubeconfig, open_site(binaries, kubeconfig, directory) as site:
            site.installer.install_cilium()
            if not kinds:
                site.installer = replace(site.installer, helm=WithoutKinds(site.helm), bundle=rootless(site))
            started = time.perf_counter()
            site.installer.deliver_kinds()
            kinds_s = time.perf_counter() - started
            site.installer.install_argocd(site.secrets())
            listening()
            yield site, kubeconfig, kinds_s


def listening() -> None:
    """Argo CD's pods are Ready at once here; in reality they are when the repo server listens."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((f"{NET}.11", 8081), timeout=1):
            return
        time.sleep(0.1)


def rendered(site: object) -> list[dict[str, object]]:
    """Everything Argo CD renders for dev: components that are on, those that it takes over too, and the applications.

    Not the ApplicationSets: with them Argo CD would do the work beside kubectl.
    """
    texts = [text for component in COMPONENTS for text in component_texts(site, component)]
    apps = site.apps.path / "apps/apps"
    hello = [locate("helm"), "template", "hello", apps / "hello", "--namespace", "apps"]
    texts += [output([*hello, "--values", apps / "hello/values-dev.yaml"])]
    texts += [output([locate("kustomize"), "build", apps / "clock/dev"])]
    found = [one for text in texts for one in YAML(typ="safe").load_all(text) if one]
    for one in found:
        if one["metadata"]["name"] in ("hello", "clock"):
            one["metadata"]["namespace"] = "apps"
    return sorted(found, key=lambda one: ("CustomResourceDefinition", "Namespace").count(one["kind"]), reverse=True)


def component_texts(site: object, component: str) -> list[str]:
    """The sources of a component's Application: chart, overlay, and what Terraform made for this cluster."""
    chart = site.installer.chart(component, site.directory)
    argv = [locate("helm"), "template", chart.release, chart.name, "--repo", chart.repository, "--include-crds"]
    argv += ["--version", chart.version, "--namespace", chart.namespace]
    argv += [word for path in chart.values for word in ("--values", path)]
    overlay = site.installer.tree / "infrastructure" / component / "overlays/dev"
    facts = next(one for one in site.installer.bundle.manifests if one["kind"] == "Secret")["metadata"]["annotations"]
    return [
        output(argv),
        output([locate("kustomize"), "build", overlay]),
        *(json.dumps(one) for one in json.loads(facts.get(f"manifests.infraflux.io/{component}", "[]"))),
    ]


def output(argv: list[object]) -> str:
    return subprocess.run([str(word) for word in argv], check=True, capture_output=True, text=True).stdout


def by_kubectl(site: object, kubeconfig: Path) -> tuple[float, float]:
    """Apply in two calls (CRDs and namespaces first), then wait for every workload.

    Seconds, and those of them that kubectl waits for the CRDs: it asks for one after the other and slows itself down.
    """
    objects = rendered(site)
    first = [one for one in objects if one["kind"] in ("CustomResourceDefinition", "Namespace")]
    rest = [one for one in objects if one not in first]
    kubectl = [locate("kubectl"), "--kubeconfig", kubeconfig]
    files = []
    for number, group in enumerate((first, rest)):
        files.append(site.directory / f"objects-{number}.yaml")
        YAML().dump_all(group, files[-1])
    started = time.perf_counter()
    output([*kubectl, "apply", "--server-side", "--force-conflicts", "-f", files[0]])
    applied = time.perf_counter()
    crds = [f"crd/{one['metadata']['name']}" for one in first if one["kind"] == "CustomResourceDefinition"]
    output([*kubectl, "wait", "--for=condition=Established", "--timeout=120s", *crds])
    waited_s = time.perf_counter() - applied
    output([*kubectl, "apply", "--server-side", "--force-conflicts", "-f", files[1]])
    for namespace, names in workloads(rest).items():
        output([*kubectl, "--namespace", namespace, "rollout", "status", *names, "--timeout=300s"])
    return time.perf_counter() - started, waited_s


def workloads(objects: list[dict[str, object]]) -> dict[str, list[str]]:
    """What is waited for, by namespace."""
    found: dict[str, list[str]] = {}
    for one in objects:
        if str(one["kind"]).lower() in WORKLOADS:
            found.setdefault(one["metadata"]["namespace"], []).append(f"{one['kind']}/{one['metadata']['name']}")
    return found


def by_handoff(site: object) -> float:
    started = time.perf_counter()
    site.hand_off()
    site.installer.wait_until_synced(deadline_s=900)
    return time.perf_counter() - started


def main() -> None:
    with cluster(kinds=False) as (site, kubeconfig, _):
        theirs, waited_s = by_kubectl(site, kubeconfig)
    with cluster(kinds=True) as (site, _, kinds_s):
        ours = by_handoff(site)
    say(f"handoff to root Healthy {ours:.1f} s, and {kinds_s:.1f} s for CRDs before Argo CD started")
    say(f"kubectl apply of the same objects {theirs:.1f} s: ratio {(ours + kinds_s) / theirs:.2f}")
    say(f"of kubectl's time {waited_s:.1f} s are its wait for the CRDs; without: {theirs - waited_s:.1f} s")


if __name__ == "__main__":
    main()
