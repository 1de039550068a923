"""The same calls to a real node and to a simulated one: where they differ, the table says why that is accepted.

A difference that is not in the table fails, and so does an entry of the table that is no difference any more.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from labkit import real_talos
from labkit.project import project_with_lab
from labkit.real_talos import KEY, RealProject
from labkit.talos_calls import CALLS, JSON6902, ask, differing
from ruamel.yaml import YAML

from infraflux.adapters.talos.seen import read_machine_config

pytestmark = [pytest.mark.talos_real, pytest.mark.timeout(1200)]

ACCEPTED: Mapping[str, Mapping[str, str]] = YAML(typ="safe").load(Path(__file__).with_name("differences.yaml")) or {}
"""Call -> field of its shape -> reason."""


@pytest.fixture(scope="module")
def simulated(deployed: RealProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealProject]:
    """The same cluster, simulated, beside the real one."""
    root = tmp_path_factory.mktemp("simulated") / "project"
    with project_with_lab(root, parts=real_talos.PARTS, programs=real_talos.programs()) as project:
        twin = RealProject(root=root, net=project.net)
        twin.infraflux("machines", "apply", KEY, "--yes")
        twin.infraflux("cluster", "bootstrap", KEY)
        yield twin


def answers(project: RealProject, name: str, directory: Path) -> Any:
    """What the control plane of this project answers to a call, as a shape."""
    cluster = project.cluster()
    node = str(cluster.spec.control_planes[0].address)
    talosctl = cluster.workspace.talosctl if "--insecure" in CALLS[name] else cluster.admin
    same = directory / "same.yaml"
    same.write_text(read_machine_config(cluster.admin, address=node))
    unknown = directory / "unknown.yaml"
    unknown.write_text(same.read_text() + "\nfrobnicate: true\n")
    return ask(talosctl, node=node, name=name, files={"same": same, "unknown": unknown, "json6902": JSON6902})


@pytest.mark.parametrize("name", CALLS)
def test_real_and_simulated_answers_have_one_shape_or_a_reason(name, deployed, simulated, tmp_path):
    found = differing(answers(deployed, name, tmp_path), answers(simulated, name, tmp_path))
    assert set(found) == set(ACCEPTED.get(name, {})), "\n".join(
        f"{field}: real {real}, simulated {other}" for field, (real, other) in found.items()
    )


def test_every_entry_of_the_table_is_a_call_with_a_reason():
    assert set(ACCEPTED) <= set(CALLS)
    assert all(reason for fields in ACCEPTED.values() for reason in fields.values())
