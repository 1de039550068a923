"""What talosctl prints becomes typed answers and typed errors."""

from pathlib import Path

import pytest

from infraflux.adapters.talos.facts import EtcdMember
from infraflux.adapters.talos.talosctl import (
    Code,
    Talosctl,
    TalosRefused,
    TalosTransient,
    classify,
    json_documents,
    parse_etcd_members,
)
from infraflux.core.errors import ErrorClass
from infraflux.core.process import Completed, ProcessTimeout

STDERR = {
    "nothing listens": (
        'code = Unavailable desc = "transport: dial tcp 10.0.0.1:50000: connection refused"',
        Code.UNREACHABLE,
    ),
    "no route in time": ("dial tcp 10.0.0.1:50000: i/o timeout", Code.UNREACHABLE),
    "wants a certificate": (
        "code = Unavailable desc = remote error: tls: certificate required",
        Code.CERTIFICATE_REQUIRED,
    ),
    "hangs up on a client without a certificate": (
        'rpc error: code = Unavailable desc = connection error: desc = "error reading server preface: write tcp'
        ' 10.94.1.1:60358->10.94.1.11:50000: write: broken pipe"',
        Code.HUNG_UP,
    ),
    "hangs up, seen while reading": (
        "rpc error: code = Unavailable desc = error reading from server: read tcp 10.94.1.1:1->10.94.1.11:50000:"
        " read: connection reset by peer",
        Code.HUNG_UP,
    ),
    "not our authority": (
        "code = Unavailable desc = x509: certificate signed by unknown authority",
        Code.UNKNOWN_AUTHORITY,
    ),
    "bad config": ("rpc error: code = InvalidArgument desc = unknown keys", Code.INVALID_ARGUMENT),
    "busy": ("rpc error: code = FailedPrecondition desc = rebooting", Code.FAILED_PRECONDITION),
    "twice": ("rpc error: code = AlreadyExists desc = etcd data directory is not empty", Code.ALREADY_EXISTS),
    "not allowed": ("rpc error: code = PermissionDenied desc = not authorized", Code.PERMISSION_DENIED),
    "anything else": ("unknown flag: --frobnicate", Code.OTHER),
}


@pytest.mark.parametrize(("stderr", "code"), STDERR.values(), ids=STDERR.keys())
def test_standard_error_has_a_code(stderr: str, code: Code):
    assert classify(stderr) is code


def answer(returncode: int, stdout: str = "", stderr: str = ""):
    def run(argv, *, deadline_s, on_line=None):
        run.argv = [str(word) for word in argv]
        return Completed(argv=("talosctl",), returncode=returncode, stdout=stdout, stderr=stderr, elapsed_s=0)

    return run


def test_each_call_names_its_node_as_its_only_endpoint():
    runner = answer(0, "Server:\n  Tag: v1.13.9\n")
    talosctl = Talosctl(binary=Path("t"), cluster="dev/dev-1", talosconfig=Path("tc"), runner=runner)
    assert talosctl.version(node="10.0.0.1") == "v1.13.9"
    assert runner.argv == [
        "t",
        "version",
        "--short",
        "--nodes",
        "10.0.0.1",
        "--endpoints",
        "10.0.0.1",
        "--talosconfig",
        "tc",
    ]


def test_insecure_calls_carry_no_credentials():
    runner = answer(0)
    talosctl = Talosctl(binary=Path("t"), cluster="dev/dev-1", talosconfig=Path("tc"), runner=runner)
    talosctl.call("apply-config", node="10.0.0.1", insecure=True)
    assert runner.argv[-1] == "--insecure"
    assert "--talosconfig" not in runner.argv


@pytest.mark.parametrize(
    ("stderr", "kind", "error_class"),
    [
        ("code = Unavailable", TalosTransient, ErrorClass.TRANSIENT),
        ("code = FailedPrecondition", TalosTransient, ErrorClass.TRANSIENT),
        ("code = InvalidArgument", TalosRefused, ErrorClass.CONFIG),
        ("code = AlreadyExists", TalosRefused, ErrorClass.CONFLICT),
        ("segmentation fault", TalosRefused, ErrorClass.INTERNAL),
    ],
)
def test_errors_say_whether_a_retry_helps_and_who_acts(stderr: str, kind: type, error_class: ErrorClass):
    talosctl = Talosctl(binary=Path("t"), cluster="dev/dev-1", runner=answer(1, stderr=stderr))
    with pytest.raises(kind, match="talosctl bootstrap on n1") as caught:
        talosctl.call("bootstrap", node="n1")
    assert caught.value.error_class is error_class
    assert caught.value.cluster == "dev/dev-1"


def test_no_answer_in_time_is_transient():
    def run(argv, *, deadline_s, on_line=None):
        raise ProcessTimeout("late")

    with pytest.raises(TalosTransient, match="no answer within 5 s"):
        Talosctl(binary=Path("t"), cluster="dev/dev-1", runner=run).call("version", node="n1", deadline_s=5)


def test_json_documents_follow_each_other_without_separator():
    assert json_documents('{"a": 1}\n{"b": {"c": 2}} {}\n') == [{"a": 1}, {"b": {"c": 2}}, {}]
    assert json_documents("") == []


def test_etcd_member_table_is_read_by_its_titles():
    text = (
        "NODE          ID                 HOSTNAME     PEER URLS                 CLIENT URLS               LEARNER\n"
        "10.0.0.11     5f1b2a3c4d5e6f70   dev-1-cp-1   https://10.0.0.11:2380    https://10.0.0.11:2379    false\n"
        "10.0.0.11     6f1b2a3c4d5e6f70   dev-1-cp-2   https://10.0.0.12:2380    https://10.0.0.12:2379    true\n"
    )
    assert parse_etcd_members(text) == [
        EtcdMember("5f1b2a3c4d5e6f70", "dev-1-cp-1", ("https://10.0.0.11:2380",), False),
        EtcdMember("6f1b2a3c4d5e6f70", "dev-1-cp-2", ("https://10.0.0.12:2380",), True),
    ]
    assert parse_etcd_members("") == []


def test_a_member_that_was_added_and_has_not_started_has_no_name_yet():
    """As a real first control plane lists the second one while it pulls etcd's image."""
    text = (
        "NODE         ID                 HOSTNAME     PEER URLS                 CLIENT URLS               LEARNER\n"
        "10.94.1.11   3bcc0d5ec4dcf6e7   dev-1-cp-1   https://10.94.1.11:2380   https://10.94.1.11:2379   false\n"
        "10.94.1.11   815b6a851d74e067                https://10.94.1.12:2380                             true\n"
    )
    assert parse_etcd_members(text) == [
        EtcdMember("3bcc0d5ec4dcf6e7", "dev-1-cp-1", ("https://10.94.1.11:2380",), False),
        EtcdMember("815b6a851d74e067", "", ("https://10.94.1.12:2380",), True),
    ]
