import copy
from pathlib import Path
from typing import Any

import pytest

from infraflux_lab.contracts import NodeFacts
from infraflux_lab.kubernetes.material import Layout, MemberLayout
from infraflux_lab.kubernetes.programs import HOME_PROGRAMS, MEMORY_LIMIT_MIB, ProcessSpec, etcd_program, programs
from infraflux_lab.kubernetes.settings import read_settings

BINARIES = {name: Path("/bin") / name for name in HOME_PROGRAMS}


def _programs(config: dict[str, Any], root: Path) -> dict[str, ProcessSpec]:
    made = programs(layout=Layout(root=root), settings=read_settings(config), home="127.78.1.11", binaries=BINARIES)
    return {program.name: program for program in made}


def test_start_order(config: dict[str, Any], tmp_path: Path) -> None:
    assert list(_programs(config, tmp_path)) == list(HOME_PROGRAMS)


def test_a_member_listens_on_its_own_address_and_knows_the_others(tmp_path: Path) -> None:
    node = NodeFacts(
        name="cp-2",
        address="127.78.1.12",
        control_plane=True,
        machine_key="dev/12",
        cores=2,
        memory_mib=4096,
        kubelet_version="v1.36.3",
    )
    others = "cp-1=https://127.78.1.11:2380,cp-2=https://127.78.1.12:2380"
    layout = MemberLayout(root=tmp_path)
    program = etcd_program(layout, node, initial_cluster=others, new=False, binary=Path("/bin/etcd"))
    assert program.name == "etcd-cp-2"
    for flag in (
        "--name=cp-2",
        "--listen-client-urls=https://127.78.1.12:2379",
        "--listen-peer-urls=https://127.78.1.12:2380",
        f"--initial-cluster={others}",
        "--initial-cluster-state=existing",
        f"--data-dir={tmp_path}/data",
    ):
        assert flag in program.argv
    assert program.environment["GOMEMLIMIT"] == f"{MEMORY_LIMIT_MIB['etcd']}MiB"


@pytest.mark.parametrize(
    ("program", "flag"),
    [
        ("kube-apiserver", "--endpoint-reconciler-type=none"),
        ("kube-apiserver", "--bind-address=127.78.1.11"),
        ("kube-apiserver", "--service-account-issuer=https://127.78.1.10:6443"),
        ("kube-apiserver", "--service-cluster-ip-range=10.2.0.0/16"),
        ("kube-apiserver", "--allow-privileged=true"),
        ("kube-controller-manager", "--cluster-cidr=10.1.0.0/16"),
        ("kube-controller-manager", "--bind-address=127.78.1.11"),
        ("kube-scheduler", "--leader-elect=false"),
        ("kwok", "--manage-nodes-with-label-selector=lab.infraflux.io/kubelet=kwok"),
    ],
)
def test_flags(config: dict[str, Any], tmp_path: Path, program: str, flag: str) -> None:
    assert flag in _programs(config, tmp_path)[program].argv


def test_extra_args_win_but_not_over_the_labs_own_addresses(config: dict[str, Any], tmp_path: Path) -> None:
    extended = copy.deepcopy(config)
    extended["cluster"]["apiServer"]["extraArgs"] = {
        "anonymous-auth": True,
        "bind-address": "::",
        "runtime-config": ["a=true", "b=true"],
    }

    argv = _programs(extended, tmp_path)["kube-apiserver"].argv

    assert "--anonymous-auth=true" in argv
    assert "--anonymous-auth=false" not in argv
    assert "--bind-address=::" not in argv
    assert [flag for flag in argv if flag.startswith("--runtime-config=")] == [
        "--runtime-config=a=true",
        "--runtime-config=b=true",
    ]


def test_no_secret_on_any_command_line(config: dict[str, Any], tmp_path: Path) -> None:
    everything = " ".join(part for program in _programs(config, tmp_path).values() for part in program.argv)

    assert "0123456789abcdef" not in everything
    assert config["cluster"]["secretboxEncryptionSecret"] not in everything


def test_memory_is_bounded_and_the_users_environment_stays_out(config: dict[str, Any], tmp_path: Path) -> None:
    for name, program in _programs(config, tmp_path).items():
        assert program.environment["GOMEMLIMIT"] == f"{MEMORY_LIMIT_MIB[name]}MiB"
        assert program.environment["HOME"] == str(tmp_path)
        assert not {"HTTPS_PROXY", "KUBECONFIG"} & set(program.environment)


def test_a_missing_program_is_named(config: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="kube-apiserver"):
        programs(layout=Layout(root=tmp_path), settings=read_settings(config), home="127.78.1.11", binaries={})
