"""What a destroy would take away: ours and nothing else, in a digest that moves only when that does."""

from dataclasses import replace

import pytest
from fakes.specs import make_spec

from infraflux.adapters.proxmox.facts import Guest
from infraflux.config.models.policy import Disruption
from infraflux.operations.destruction import Destruction, markdown, plan_destruction

SPEC = make_spec()
OURS = frozenset({SPEC.ownership_tag})
CP = Guest(vm_id=10011, name="dev-1-cp-1", host="pve-1", running=True, tags=OURS)
STRAY = Guest(vm_id=10099, name="dev-1-worker-9", host="pve-2", tags=OURS)
UNTAGGED = Guest(vm_id=10021, name="dev-1-worker-1", host="pve-2")
FOREIGN = Guest(vm_id=100, name="mail", host="pve-1", tags=frozenset({"infraflux-dev-other"}))
KNOWN = {10011: "dev-1-cp-1", 10021: "dev-1-worker-1", 10022: "dev-1-worker-2"}

CASES = {
    "nothing there": ((), {}, 0, (), (), "nothing is left to destroy"),
    "only machines of others": ((FOREIGN,), {}, 0, (), (), "nothing is left to destroy"),
    "recorded, unrecorded and vanished": (
        (STRAY, FOREIGN, CP, UNTAGGED),
        KNOWN,
        0,
        (CP, UNTAGGED, STRAY),
        ("dev-1-worker-2",),
        "3 machines to destroy, 1 of them in no state, 1 to forget",
    ),
    "the last of its environment": (
        (CP,),
        {10011: "x"},
        2,
        (CP,),
        (),
        "1 machine to destroy, 2 shared objects to destroy",
    ),
    "only what is shared is left": ((), {}, 2, (), (), "0 machines to destroy, 2 shared objects to destroy"),
}


@pytest.mark.parametrize(("guests", "known", "shared", "ours", "vanished", "text"), CASES.values(), ids=CASES.keys())
def test_plan(guests, known, shared, ours, vanished, text):
    found = plan_destruction(SPEC, guests=guests, known=known, shared=shared)
    assert (found.guests, found.vanished, str(found)) == (ours, vanished, text)
    assert (found.changes, found.ends) == (len(ours) + len(vanished) + shared, len(ours) + shared)
    assert found.empty == (found.changes == 0)
    assert found.disruption is (Disruption.DATA_LOST if ours else Disruption.NONE)


def planned(*guests: Guest, **changes: object) -> Destruction:
    return replace(plan_destruction(SPEC, guests=guests, known=KNOWN, shared=1), **changes)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param(planned(STRAY, CP), True, id="order"),
        pytest.param(planned(replace(CP, host="pve-2", running=False), STRAY), True, id="moved-and-stopped"),
        pytest.param(planned(CP), False, id="one-less"),
        pytest.param(planned(CP, replace(STRAY, vm_id=10098)), False, id="another-machine"),
        pytest.param(planned(CP, STRAY, vanished=()), False, id="nothing-vanished"),
        pytest.param(planned(CP, STRAY, shared=0), False, id="no-longer-the-last"),
        pytest.param(planned(CP, STRAY, cluster="dev/dev-2"), False, id="another-cluster"),
    ],
)
def test_the_digest_is_of_what_ends(other: Destruction, same: bool):
    assert (planned(CP, STRAY).digest == other.digest) is same


def test_the_table_names_every_machine_and_what_is_kept():
    text = markdown(planned(CP, STRAY))
    assert "| destroy | machine | dev-1-cp-1 | VM 10011 on pve-1, running |" in text
    assert "| destroy | machine | dev-1-worker-9 | VM 10099 on pve-2, off; carries our tag, is in no state |" in text
    assert "| forget | machine | dev-1-worker-1 | in the state, gone from Proxmox |" in text
    assert "| destroy | shared | dev | 1 object no other cluster needs |" in text
    assert "bundle is kept" in text
