from pathlib import Path

import pytest

from infraflux_lab.gitops.argocd import WORKLOADS, ArgoFacts, ArgoSite, environment, prepare, program

NOTHING = ArgoFacts(parameters={}, settings={})


@pytest.fixture
def site(tmp_path: Path) -> ArgoSite:
    binaries = {}
    for name in ("argocd", "helm", "kustomize"):
        binaries[name] = tmp_path / "tools" / name
        binaries[name].parent.mkdir(exist_ok=True)
        binaries[name].write_text("#!/bin/sh\n")
    return ArgoSite(root=tmp_path / "argocd", home="127.78.1.11", kubeconfig=tmp_path / "kubeconfig", binaries=binaries)


@pytest.mark.parametrize("name", sorted(set(WORKLOADS.values())))
def test_everything_stays_on_the_clusters_address(site: ArgoSite, name: str) -> None:
    argv = " ".join(program(name, site, NOTHING).argv)

    assert "127.78.1.11:6379" in argv or "127.78.1.11:8081" in argv
    assert "0.0.0.0" not in argv


def test_preparing_twice_is_preparing_once(site: ArgoSite) -> None:
    prepare(site)
    prepare(site)

    assert (site.bin / "argocd-repo-server").resolve() == site.binaries["argocd"].resolve()
    assert (site.root / ".kube" / "config").readlink() == site.kubeconfig


def test_parameters_of_the_cluster_reach_the_program_they_are_for(site: ArgoSite) -> None:
    facts = ArgoFacts(
        parameters={
            "applicationsetcontroller.enable.progressive.syncs": "true",
            "reposerver.parallelism.limit": "3",
            "reposerver.disable.tls": "false",
            "server.insecure": "true",
        },
        settings={"timeout.reconciliation": "120s", "url": "https://argocd.example.org"},
    )

    sets = environment("argocd-applicationset-controller", site, facts)
    repo = environment("argocd-repo-server", site, facts)

    assert sets["ARGOCD_APPLICATIONSET_CONTROLLER_ENABLE_PROGRESSIVE_SYNCS"] == "true"
    assert repo["ARGOCD_REPO_SERVER_PARALLELISM_LIMIT"] == "3"
    assert repo["ARGOCD_RECONCILIATION_TIMEOUT"] == "120s"
    assert "ARGOCD_REPO_SERVER_DISABLE_TLS" not in repo, "how they talk to each other is the lab's to say"
    assert not any("INSECURE" in key for key in {**sets, **repo})


def test_a_containers_own_variables_win_but_not_over_where_things_are(site: ArgoSite) -> None:
    said = {"ARGOCD_SYNC_WAVE_DELAY": "1", "ARGOCD_FAKE_IN_CLUSTER": "false", "PATH": "/elsewhere"}
    facts = ArgoFacts(parameters={"controller.status.processors": "9"}, settings={}, variables=said)

    found = environment("argocd-application-controller", site, facts)

    assert found["ARGOCD_SYNC_WAVE_DELAY"] == "1"
    assert found["ARGOCD_FAKE_IN_CLUSTER"] == "true"
    assert "/elsewhere" not in found["PATH"]
    assert found["ARGOCD_APPLICATION_CONTROLLER_STATUS_PROCESSORS"] == "9"


def test_a_parameter_with_a_name_of_its_own_reaches_the_program(site: ArgoSite) -> None:
    facts = ArgoFacts(parameters={"controller.sync.wave.delay.seconds": "1"}, settings={})

    assert environment("argocd-application-controller", site, facts)["ARGOCD_SYNC_WAVE_DELAY"] == "1"
    assert "ARGOCD_SYNC_WAVE_DELAY" not in environment("argocd-repo-server", site, facts)


def test_missing_programs_are_named(site: ArgoSite) -> None:
    bare = ArgoSite(root=site.root, home=site.home, kubeconfig=site.kubeconfig, binaries={})

    assert bare.missing == ["argocd", "helm", "kustomize"]
