"""`home` alone, by the commands of docs/own-hardware.md, up to a cluster that was handed over."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.projects import commit_all
from labkit.dressed import Dressed, dress_up
from labkit.house import House, check_out, free_port, online, tear_down, until
from ruamel.yaml import YAML

from infraflux.adapters.tools.locate import Source, this_machine

pytestmark = [pytest.mark.lab, pytest.mark.tools, pytest.mark.prefect]

FILES_OF_HOME = ["clusters/overlays/home/home-1.yaml", "config/environments/home.yaml"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A checkout whose lab looks like one host of somebody's, running; nothing of InfraFlux was started."""
    installed = this_machine()
    wanted = [pin.name for pin in installed.pins.select(group="up")]
    if missing := [name for name in wanted if installed.find(name).source is Source.MISSING]:
        pytest.skip(f"not built: {', '.join(missing)}; run `infraflux tools install --group test`")
    net = f"127.{os.environ.get('INFRAFLUX_TEST_OCTET', '78')}"
    root = tmp_path_factory.mktemp("home") / "project"
    check_out(root, net=net)
    dress_up(root, net=net, hosts=("pve",))
    commit_all(root)
    made = House(root=root, net=net, port=free_port())
    made.infraflux("lab", "up")
    try:
        yield made
    finally:
        tear_down(made)


def servers_of_the_site(house: House) -> None:
    """A site without the outside: its own image factory, chart server and Git server, as docs/configuration.md says."""
    path = house.root / "config/environments/home.yaml"
    document = YAML(typ="safe").load(path)
    document["image"] = {"factory_url": f"http://{house.net}.0.3:8882"}
    document["platform"] = {"chart_repository": f"http://{house.net}.0.3:8880/charts"}
    YAML(typ="safe").dump(document, path)


@pytest.fixture(scope="module")
def standing(house: House) -> str:
    """The run that made the cluster."""
    site = Dressed(house)
    secret = site.paste(commands(house.infraflux("init", "home", "--yes", "--endpoint", site.endpoint, check=False)))
    (house.root / "token").write_text(secret)
    words = ["--endpoint", site.endpoint, "--token-file", "token", "--ca-file", str(site.ca_file), "--size", "small"]
    git = ["--git", f"http://{house.net}.0.3:8881/platform.git", "--domain", "home.example.net"]
    said = house.infraflux("init", "home", "--yes", *words, *git)
    site.paste(commands(said))
    (house.root / "token").unlink()
    servers_of_the_site(house)
    commit_all(house.root, "Add home")
    house.infraflux("up", "--no-deploy")
    until(lambda: online(house), what="a worker")
    run = house.deploy_by_cli("home/home-1")
    house.completed(run)
    return run


def commands(said: str) -> list[str]:
    return [line.strip() for line in said.splitlines() if line.strip().startswith("pveum ")]


def test_every_application_is_in_sync(house: House, standing: str) -> None:
    """Also those of components that have no overlay for home."""
    said = house.infraflux("platform", "status", "home/home-1")
    assert "cert-manager" in said
    assert "Degraded" not in said


def test_only_its_own_files_name_it(house: House, standing: str) -> None:
    named = [path for path in tracked(house.root) if "home" in path.parts or path.stem in ("home", "home-1")]
    assert sorted(str(path) for path in named if path.suffix == ".yaml") == FILES_OF_HOME
    assert sorted(path.stem for path in (house.root / "config/environments").glob("*.yaml")) == ["home"]


def tracked(root: Path) -> list[Path]:
    parts = ("config", "clusters", "platform", "terraform", "deployments")
    return [path.relative_to(root) for part in parts for path in (root / part).rglob("*") if path.is_file()]


def test_the_server_knows_home_and_no_sample(house: House, standing: str) -> None:
    names = {one["name"] for one in house.api.post("/deployments/filter", {"limit": 100})}
    assert names == {"home", "nightly", "adhoc", "automation"}


def test_the_issuer_is_the_one_of_base(house: House, standing: str) -> None:
    kubeconfig = house.root / ".infraflux/clusters/home/home-1/kubeconfig"
    shown = house.tool("kubectl", "--kubeconfig", str(kubeconfig), "get", "clusterissuers", "--output", "name")
    assert {line.rpartition("/")[2] for line in shown.split()} == {"platform", "platform-root"}


def test_doctor_finds_nothing_in_the_way(house: House, standing: str) -> None:
    said = house.infraflux("doctor", "--environment", "home")
    assert "has what home/home-1 needs" in said


def test_parity_drift_and_promotion_work_with_one_environment(house: House, standing: str) -> None:
    house.infraflux("config", "parity")
    house.infraflux("promotion", "status")
    house.infraflux("drift", "check", "home/home-1")
