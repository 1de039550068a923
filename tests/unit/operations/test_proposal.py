"""From what a site has to a first environment on it: four sites as they are, and what each of them may lack."""

import shutil
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from fakes.sites import LAN, LOCAL, ONE_HOST, bridge, site, storage

from infraflux.adapters.proxmox.facts import Guest, Host
from infraflux.config.environments import known_environments
from infraflux.config.load import Fleet
from infraflux.config.models.addresses import AddressRange
from infraflux.core.errors import Permanent
from infraflux.operations.proposal import Proposal, Refusal, Taken, Wishes, propose
from infraflux.operations.proposal_sizes import PoolSize
from infraflux.operations.proposal_text import proposal_files
from infraflux.operations.site_setup import NewSite, propose_for, write_site

ROOT = Path(__file__).parents[3]


def template(cp, worker):
    return {name: PoolSize(cores=c, memory_mib=m, disk_gib=d) for name, (c, m, d) in (("cp", cp), ("worker", worker))}


SIZES = {
    "small": template((2, 4096, 20), (2, 4096, 20)),
    "medium": template((2, 4096, 32), (4, 8192, 64)),
    "large": template((4, 8192, 64), (8, 16384, 128)),
}
NOTHING = Taken()
HOME = Wishes(environment="home", git="https://git.example.org/me/infraflux.git", domain="k.example.org")


THREE = ("pve1", "pve2", "pve3")
THREE_ZFS = site(
    THREE,
    LOCAL,
    storage("tank", "zfspool", "images,rootdir", free=1500),
    networks=(bridge("vmbr0", THREE, "192.168.1.11", "192.168.1.12", "192.168.1.13"),),
    guests=(Guest(vm_id=100, name="nas", host="pve1", memory_mib=8192), Guest(vm_id=10_220, name="old", host="pve2")),
    name="lab",
    memory_mib=65536,
)
CEPH = site(
    THREE,
    LOCAL,
    storage("ceph", "rbd", "images,rootdir", free=9000, shared=True),
    networks=(
        bridge("vmbr0", THREE, "192.168.1.11", "192.168.1.12", "192.168.1.13"),
        bridge("k8s", THREE, vnet=True),
    ),
    name="dc",
    memory_mib=262144,
    cores=64,
)
OTHER_HOST = replace(
    ONE_HOST,
    endpoint="https://pve-b:8006",
    observed=replace(ONE_HOST.observed, hosts={"pve-b": Host(name="pve-b", online=True)}),
)


def proposed(*sites, wishes=HOME, taken=NOTHING):
    found = propose(sites, wishes=wishes, taken=taken, sizes=SIZES)
    assert isinstance(found, Proposal), found
    return found


def test_one_host_with_local_lvm():
    found = proposed(ONE_HOST)
    assert (found.disks.value, found.images.value, found.bridge.value) == ("local-lvm", "local", "vmbr0")
    assert (found.network.value, found.gateway) == (LAN, IPv4Address("192.168.1.1"))
    assert (found.size.value.name, found.size.value.control_planes, found.size.value.workers) == ("medium", 1, 1)
    assert "would not survive the loss of one either" in found.size.why
    assert "large" in found.size.why
    assert str(found.addresses.value.vip) == "192.168.1.204"
    assert str(found.addresses.value.balancer.last) == "192.168.1.254"


def test_three_hosts_with_zfs_and_guests():
    found = proposed(THREE_ZFS)
    assert found.hosts.value == THREE
    assert found.disks.value == "tank"
    assert "zfspool on every host, 1500 GiB free" in found.disks.why
    # The guest on pve1 leaves (65536 - 2048 - 8192) * 0.75 there, and large wants 24576.
    assert (found.size.value.name, found.size.value.control_planes, found.size.value.workers) == ("large", 3, 3)
    # 10220 would be the machine with the address .220.
    assert found.vm_id_start.value == 20_000


def test_ceph_with_a_vlan_and_with_a_vnet():
    vlan = proposed(CEPH, wishes=replace(HOME, vlan=30, node_cidr=IPv4Network("10.30.0.0/24")))
    assert (vlan.bridge.value, vlan.disks.value) == ("vmbr0", "ceph")
    assert "shared by the hosts" in vlan.disks.why
    assert vlan.gateway == IPv4Address("10.30.0.1")
    vnet = proposed(CEPH, wishes=replace(HOME, bridge="k8s", node_cidr=IPv4Network("10.40.0.0/24")))
    assert vnet.bridge.value == "k8s"
    assert "as you said" in vnet.network.why


def test_two_standalone_hosts_are_two_environments():
    found = propose([ONE_HOST, OTHER_HOST], wishes=HOME, taken=Taken(), sizes=SIZES)
    assert isinstance(found, Refusal)
    (reason,) = found.reasons
    assert "2 Proxmox installations" in reason
    assert "infraflux init home-pve; infraflux init home-pve-b" in reason


def without(content, of=ONE_HOST):
    kept = {key: replace(one, content=one.content - {content}) for key, one in of.observed.storages.items()}
    return replace(of, observed=replace(of.observed, storages=kept))


def observed(of=ONE_HOST, **changes):
    return replace(of, observed=replace(of.observed, **changes))


def within(text):
    return replace(HOME, addresses=AddressRange.parse(text))


little = {"pve": Host(name="pve", online=True, cores=4, memory_mib=6000)}
REFUSED = {
    "too old": (observed(version=(8, 3)), HOME, "Proxmox VE 8.3 is too old: 8.4 or later"),
    "nothing to import to": (without("import"), HOME, "pvesm set local --content backup,import,iso,vztmpl"),
    "nothing for disks": (without("images"), HOME, "no storage of one name holds disks"),
    "memory is hidden": (observed(hosts={"pve": Host(name="pve", online=True)}), HOME, "it needs Sys.Audit on /nodes"),
    "no host": (observed(hosts={}), HOME, "no host is online"),
    "no bridge": (replace(ONE_HOST, networks=()), HOME, "no bridge or VNet of one name is on every host"),
    "a bridge that is not there": (
        ONE_HOST,
        replace(HOME, bridge="vmbr9"),
        "network vmbr9 is not on every host; vmbr0",
    ),
    "a storage that is not there": (ONE_HOST, replace(HOME, disks="tank"), "storage tank does not hold disks"),
    "a VLAN nobody has an address in": (ONE_HOST, replace(HOME, vlan=7), "say it with --node-cidr"),
    "too little memory": (observed(hosts=little), HOME, "no size fits"),
    "a size there is not": (ONE_HOST, replace(HOME, size="tiny"), "there is no size tiny; there are small"),
    "a range elsewhere": (ONE_HOST, within("10.0.0.2-10.0.0.99"), "is not in the network"),
    "a range that is too small": (ONE_HOST, within("192.168.1.40-192.168.1.44"), "10 free addresses"),
}


@pytest.mark.parametrize(("site", "wishes", "says"), REFUSED.values(), ids=REFUSED)
def test_what_a_site_lacks_is_told_with_what_to_do(site, wishes, says):
    found = propose([site], wishes=wishes, taken=Taken(), sizes=SIZES)
    assert isinstance(found, Refusal)
    assert says in "; ".join(found.reasons)


def test_everything_that_is_lacking_is_told_at_once():
    found = propose([replace(without("import"), networks=())], wishes=HOME, taken=Taken(), sizes=SIZES)
    assert isinstance(found, Refusal)
    assert len(found.reasons) == 2


TAKEN = {
    "a host at the end of the network": (Taken(), ["192.168.1.250"], "192.168.1.199"),
    "somebody answers": (Taken(answering=[IPv4Address("192.168.1.230")]), [], "192.168.1.179"),
    "another cluster": (Taken(ranges=[AddressRange.parse("192.168.1.100-192.168.1.254")]), [], "192.168.1.49"),
}


@pytest.mark.parametrize(("taken", "hosts", "vip"), TAKEN.values(), ids=TAKEN)
def test_addresses_of_others_are_left_alone(taken, hosts, vip):
    there = replace(ONE_HOST, networks=(bridge("vmbr0", ["pve"], "192.168.1.5", *hosts),))
    assert str(proposed(there, taken=taken).addresses.value.vip) == vip


def test_pods_and_services_are_where_no_network_of_the_site_is():
    storage = bridge("vmbr1", ["pve"], "10.11.0.5", cidr=IPv4Network("10.11.0.0/16"), gateway="10.11.0.1")
    found = proposed(replace(ONE_HOST, networks=(*ONE_HOST.networks, replace(storage, gateway=None))))
    assert (str(found.pods), str(found.services)) == ("10.12.0.0/16", "10.111.0.0/16")


def test_a_host_that_is_full_carries_no_workers():
    full = observed(guests=(Guest(vm_id=100, name="big", host="pve", memory_mib=24576),))
    found = proposed(full)
    assert (found.size.value.name, found.size.value.workers) == ("medium", 0)
    assert "that take the workloads" in found.size.why


def test_a_small_range_gets_a_small_layout():
    found = proposed(ONE_HOST, wishes=within("192.168.1.40-192.168.1.51"))
    assert [len(getattr(found.addresses.value, one)) for one in ("vip", "control_planes", "workers", "balancer")] == [
        1,
        3,
        3,
        3,
    ]


def test_what_is_not_said_is_left_to_be_decided_by_name():
    said = {one.partition(":")[0] for one in proposed(ONE_HOST).undecided}
    unsaid = {one.partition(":")[0] for one in proposed(ONE_HOST, wishes=Wishes(environment="home")).undecided}
    assert said == {"DHCP", "DNS token"}
    assert unsaid == {"DHCP", "DNS token", "Git", "domain"}


def samples(project):
    return [one.name for one in known_environments(project) if one.simulated]


@pytest.fixture
def project(tmp_path):
    for part in ("config", "clusters", "platform"):
        shutil.copytree(ROOT / part, tmp_path / part)
    return tmp_path


WRITTEN = {
    "one host": (ONE_HOST, HOME),
    "three hosts with ZFS": (THREE_ZFS, HOME),
    "Ceph and a VLAN": (CEPH, replace(HOME, vlan=30, node_cidr=IPv4Network("10.30.0.0/24"))),
    "Ceph and a VNet": (CEPH, replace(HOME, bridge="k8s", node_cidr=IPv4Network("10.40.0.0/24"))),
    "nothing said": (ONE_HOST, Wishes(environment="attic")),
}


@pytest.mark.parametrize(("site", "wishes"), WRITTEN.values(), ids=WRITTEN)
@pytest.mark.parametrize("keep", [True, False], ids=["beside the samples", "alone"])
def test_what_is_written_validates_and_has_nothing_of_the_lab(project, site, wishes, keep):
    leaving = [] if keep else samples(project)
    proposal = propose_for([site], wishes, root=project, leaving=leaving, probe=lambda _addresses: ())
    files = proposal_files(proposal, token_id=f"infraflux@pve!{wishes.environment}", ca_file="")
    write_site(NewSite(files, "a-secret", leaving), environment=wishes.environment, root=project)
    fleet = Fleet.load(project)
    assert len(fleet.clusters) == (4 if keep else 1)
    spec = fleet.cluster(f"{wishes.environment}/{wishes.environment}-1")
    assert "127.77" not in spec.model_dump_json()
    assert len(spec.control_planes) == proposal.size.value.control_planes
    token = project / f".infraflux/secrets/{wishes.environment}.token"
    assert (token.read_text(), token.stat().st_mode & 0o777) == ("a-secret\n", 0o600)
    for text in files.values():
        assert all(len(line) <= 120 for line in text.splitlines())
        assert "a-secret" not in text


def test_what_would_not_validate_leaves_everything_as_it_was(project):
    before = sorted(path for path in project.rglob("*") if ".infraflux" not in path.parts)
    bad = NewSite({Path("config/environments/home.yaml"): "proxmox: 1\n"}, "s", samples(project))
    with pytest.raises(Permanent):
        write_site(bad, environment="home", root=project)
    assert sorted(path for path in project.rglob("*") if ".infraflux" not in path.parts) == before


def test_the_samples_are_those_of_the_lab(project):
    assert samples(project) == [one.name for one in known_environments(project)]
    path = project / "config/environments/dev.yaml"
    path.write_text(path.read_text().replace("https://127.77.1.2:8006", "https://10.0.0.5:8006"))
    assert "dev" not in samples(project)


def test_addresses_are_chosen_anew_while_somebody_answers(project):
    asked = []

    def probe(addresses):
        asked.append(list(addresses))
        return asked[-1][:1] if len(asked) == 1 else ()

    proposal = propose_for([ONE_HOST], HOME, root=project, leaving=[], probe=probe)
    assert asked[0][0] == "192.168.1.204"
    assert str(proposal.addresses.value.vip) == "192.168.1.153"


def test_no_address_is_chosen_where_everybody_answers(project):
    with pytest.raises(Permanent, match=r"somebody answers wherever|free addresses"):
        propose_for([ONE_HOST], HOME, root=project, leaving=[], probe=list)
