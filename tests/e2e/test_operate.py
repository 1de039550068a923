"""Nodes and hosts by hand, as docs/operations.md says: planned, done in order, and nothing else with it."""

import json
from typing import Any

import pytest
from labkit.house import House
from labkit.looks import Look

pytestmark = [pytest.mark.lab, pytest.mark.tools, pytest.mark.prefect, pytest.mark.timeout(1200)]

KEY = "staging/staging-1"


@pytest.fixture(scope="module")
def staging(house: House) -> Look:
    """staging as it is declared: by an earlier test, or made now."""
    if house.api.find("/artifacts/cluster-staging-staging-1/latest") is None:
        house.completed(house.deploy(KEY))
    return Look(house, KEY)


def rows(house: House) -> dict[str, dict[str, Any]]:
    """`infraflux node list`, by node."""
    said = house.infraflux("node", "list", KEY, "--output", "json")
    return {one["node"]: one for one in json.loads(said[said.index("[") :])}


def running(look: Look) -> dict[str, bool]:
    names = look.declared()
    found = look.proxmox().cluster.resources.get(type="vm")
    return {names[row["vmid"]]: row["status"] == "running" for row in found if row["vmid"] in names}


def shut_down(look: Look) -> list[str]:
    """Every machine that Proxmox was ever asked to shut down, in order."""
    events = look.house.lab_events(kind="task-started", task="qmshutdown")
    return [look.declared()[int(one["subject"])] for one in events if int(one["subject"]) in look.declared()]


def test_a_node_is_drained_by_hand_and_stays_so_until_it_is_taken_back(house: House, staging: Look) -> None:
    worker = staging.spec.workers[0].name
    assert all(row["healthy"] for row in rows(house).values()), rows(house)
    house.infraflux("node", "drain", f"{KEY}/{worker}")
    assert rows(house)[worker]["kubernetes"].endswith("out of service (by-hand)")
    pods = staging.kubectl("get", "pods", "--all-namespaces", "--field-selector", f"spec.nodeName={worker}")["items"]
    owners = {pod["metadata"]["ownerReferences"][0]["kind"] for pod in pods if pod["metadata"].get("ownerReferences")}
    assert owners <= {"DaemonSet", "Node"}
    house.completed(house.deploy(KEY))
    assert "out of service (by-hand)" in rows(house)[worker]["kubernetes"]
    house.infraflux("node", "uncordon", f"{KEY}/{worker}")
    assert rows(house)[worker]["healthy"]


def test_a_control_plane_is_restarted_and_no_other(house: House, staging: Look) -> None:
    before, name = len(shut_down(staging)), staging.spec.control_planes[1].name
    house.infraflux("node", "restart", f"{KEY}/{name}", "--reason", "stuck")
    assert shut_down(staging)[before:] == [name]
    assert all(row["healthy"] for row in rows(house).values())


def test_a_node_is_wiped_and_joins_anew_on_the_same_machine(house: House, staging: Look) -> None:
    name, made = staging.spec.control_planes[2].name, staging.creations()
    uid = staging.kubectl("get", "node", name)["metadata"]["uid"]
    house.infraflux("node", "reset", f"{KEY}/{name}", "--yes")
    assert staging.kubectl("get", "node", name)["metadata"]["uid"] != uid
    assert staging.creations() == made
    assert staging.etcd() == {node.name for node in staging.spec.control_planes}
    assert all(row["healthy"] for row in rows(house).values())


def test_a_machine_is_made_anew_with_its_name_its_id_and_its_address(house: House, staging: Look) -> None:
    worker, machines, made = staging.spec.workers[1], staging.machines(), staging.creations()
    house.infraflux("node", "replace", f"{KEY}/{worker.name}", "--yes")
    assert staging.machines() == machines
    assert sorted([*made, worker.vm_id]) == staging.creations()
    assert all(row["healthy"] for row in rows(house).values())


def test_a_host_is_emptied_and_comes_back(house: House, staging: Look) -> None:
    plane = staging.spec.control_planes[0]
    here = [name for name, row in rows(house).items() if row["host"] == plane.host]
    before = len(shut_down(staging))
    house.infraflux("host", "maintenance", f"staging/{plane.host}", "start")
    assert {name for name, on in running(staging).items() if not on} == set(here)
    assert shut_down(staging)[before:] == sorted(here, key=lambda name: name == plane.name)

    refused = house.ended(house.deploy(KEY))
    assert refused["state"]["type"] == "FAILED"
    assert f"infraflux host maintenance staging/{plane.host} end" in refused["state"]["message"]
    other = staging.spec.control_planes[1]
    said = house.infraflux("host", "maintenance", f"staging/{other.host}", "start", "--dry-run", check=False)
    assert f"{other.name} cannot be shut down: 1 of 3 etcd members would be alive" in " ".join(said.split())

    house.infraflux("host", "maintenance", f"staging/{plane.host}", "end")
    assert all(running(staging).values())
    assert staging.etcd() == {node.name for node in staging.spec.control_planes}
    assert all(row["healthy"] for row in rows(house).values())
    assert "No changes" in house.infraflux("plan", KEY)
