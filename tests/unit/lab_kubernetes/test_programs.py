import copy
from pathlib import Path
from typing import Any

import pytest

from infraflux_lab.kubernetes.material import Layout
from infraflux_lab.kubernetes.programs import MEMORY_LIMIT_MIB, PROGRAMS, ProcessSpec, programs
from infraflux_lab.kubernetes.settings import read_settings

BINARIES = {name: Path("/bin") / name for name in PROGRAMS}


def _programs(config: dict[str, Any], root: Path) -> dict[str, ProcessSpec]:
    made = programs(layout=Layout(root=root), settings=read_settings(config), home="127.78.1.11", binaries=BINARIES)
    return {program.name: program for program in made}


def test_start_order(config: dict[str, Any], tmp_path: Path) -> None:
    assert list(_programs(config, tmp_path)) == list(PROGRAMS)


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
        ("etcd", "--listen-client-urls=https://127.78.1.11:2379"),
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
    with pytest.raises(KeyError, match="etcd"):
        programs(layout=Layout(root=tmp_path), settings=read_settings(config), home="127.78.1.11", binaries={})
