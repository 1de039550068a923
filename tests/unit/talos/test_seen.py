"""Which door of a node answers, by what real talosctl prints at both."""

import json
from pathlib import Path

import pytest
from fakes.specs import make_spec
from fakes.talos import etcd_table

from infraflux.adapters.talos.facts import NodeState
from infraflux.adapters.talos.seen import look, look_at_etcd
from infraflux.adapters.talos.talosctl import Talosctl
from infraflux.core.process import Completed

REFUSED = (
    "rpc error: code = Unavailable desc = connection error: dial tcp 10.94.1.11:50000: connect: connection refused"
)
STRANGER = (
    'rpc error: code = Unavailable desc = connection error: desc = "transport: authentication handshake failed: tls: '
    'failed to verify certificate: x509: certificate signed by unknown authority (possibly because of \\"x509: Ed25519 '
    'verification failure\\" while trying to verify candidate authority certificate \\"talos\\")"'
)
BROKEN_PIPE = "rpc error: code = Unavailable desc = write tcp 10.94.1.1:50608->10.94.1.11:50000: write: broken pipe"
RESET = (
    "rpc error: code = Unavailable desc = error reading from server: read tcp 10.94.1.1:60358->10.94.1.11:50000: "
    "read: connection reset by peer"
)
REQUIRED = 'rpc error: code = Unavailable desc = connection error: desc = "error reading server preface: remote error: '
REQUIRED += 'tls: certificate required"'
FINE = ""

# Per look: what the call with our certificate and the one without end with; and what the node is.
LOOKS = {
    "off": ([(REFUSED, FINE)], NodeState.SILENT),
    "in maintenance": ([(STRANGER, FINE)], NodeState.MAINTENANCE),
    "ours": ([(FINE, REQUIRED)], NodeState.RUNNING),
    "another cluster's, with the reason": ([(STRANGER, REQUIRED)] * 2, NodeState.LOCKED),
    "another cluster's, by a broken pipe": ([(STRANGER, BROKEN_PIPE)] * 2, NodeState.LOCKED),
    "another cluster's, by a reset": ([(STRANGER, RESET), (STRANGER, BROKEN_PIPE)], NodeState.LOCKED),
    "went down between the calls": ([(STRANGER, REFUSED)], NodeState.SILENT),
    "breaks off at once": ([(BROKEN_PIPE, FINE)], NodeState.SILENT),
    "has just got our configuration": ([(STRANGER, BROKEN_PIPE), (FINE, REQUIRED)], NodeState.RUNNING),
    "is just taking our configuration": ([(STRANGER, RESET), (REFUSED, REFUSED)], NodeState.SILENT),
}


class Doors:
    """Two doors of one node, answering look after look."""

    def __init__(self, looks):
        self.looks, self.asked = list(looks), []

    def __call__(self, argv, *, deadline_s, on_line=None):
        words = [str(word) for word in argv]
        bare = "--insecure" in words
        if not bare and words[1:3] == ["get", "machineconfig"]:
            self.now = self.looks.pop(0)
        error = self.now[1] if bare else self.now[0]
        self.asked.append(bare)
        out = json.dumps({"metadata": {"id": "x"}, "spec": {}})
        if words[1] == "version":
            out = "Server:\n\tTag: v1.13.9\n"
        return Completed(argv=(), returncode=1 if error else 0, stdout="" if error else out, stderr=error, elapsed_s=0)


@pytest.mark.parametrize(("looks", "state"), LOOKS.values(), ids=LOOKS.keys())
def test_a_node_is_what_its_two_doors_say(looks, state):
    doors = Doors(looks)
    bare = Talosctl(binary=Path("t"), cluster="dev/dev-1", runner=doors)
    admin = Talosctl(binary=Path("t"), cluster="dev/dev-1", talosconfig=Path("tc"), runner=doors)
    [node] = make_spec(control_planes=1, workers=0).control_planes
    seen = look(node, admin=admin, bare=bare)
    assert seen.state is state
    assert not doors.looks, "every look that the case has was needed"
    assert bool(seen.detail) is (state in {NodeState.SILENT, NodeState.LOCKED})


@pytest.mark.parametrize(("wanted", "asked"), [("machine: {type: worker}", False), ("machine: {type: init}", True)])
def test_a_node_that_has_its_config_is_not_asked_who_it_is(wanted, asked):
    kinds = []

    def answer(argv, *, deadline_s, on_line=None):
        words = [str(word) for word in argv]
        kinds.append(words[2])
        spec = "machine:\n  type: worker\n" if words[2] == "machineconfig" else {"uuid": "u", "hardwareAddr": "m"}
        out = json.dumps({"metadata": {"id": "v1alpha1"}, "spec": spec})
        out = "Server:\n\tTag: v1.13.9\n" if words[1] == "version" else out
        return Completed(argv=(), returncode=0, stdout=out, stderr="", elapsed_s=0)

    talosctl = Talosctl(binary=Path("t"), cluster="dev/dev-1", talosconfig=Path("tc"), runner=answer)
    [node] = make_spec(control_planes=1, workers=0).control_planes
    seen = look(node, admin=talosctl, bare=talosctl, wanted=wanted)
    assert (seen.uuid, seen.macs) == (("u", ("m",)) if asked else ("", ()))
    assert ("systeminformation" in kinds, "links" in kinds) == (asked, asked)


def test_without_our_certificate_a_node_that_breaks_off_is_asked_again_later():
    doors = Doors([])
    doors.now = (FINE, BROKEN_PIPE)
    [node] = make_spec(control_planes=1, workers=0).control_planes
    bare = Talosctl(binary=Path("t"), cluster="dev/dev-1", runner=doors)
    assert look(node, admin=None, bare=bare).state is NodeState.SILENT


def test_a_member_that_has_not_started_is_the_node_at_its_address():
    """Else it would pass for a member that is declared no more, and be taken off the list while it joins."""
    first, second = make_spec(control_planes=3, workers=0).control_planes[:2]
    rows = [
        ("x", "1", first.name, f"https://{first.address}:2380", "https://a:2379", "false"),
        ("x", "2", "", f"https://{second.address}:2380", "", "true"),
        ("x", "3", "", "https://10.9.9.9:2380", "", "true"),
    ]

    def run(argv, *, deadline_s, on_line=None):
        return Completed(argv=(), returncode=0, stdout=etcd_table(rows), stderr="", elapsed_s=0)

    admin = Talosctl(binary=Path("t"), cluster="dev/dev-1", runner=run)
    seen = look_at_etcd([first, second], admin=admin)
    assert [(one.hostname, one.learner) for one in seen.members] == [
        (first.name, False), (second.name, True), ("", True),
    ]  # fmt: skip
