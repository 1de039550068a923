"""Proxmox sites as `look` would find them: hosts, storages and networks by name."""

from ipaddress import IPv4Address, IPv4Network

from infraflux.adapters.proxmox.facts import BridgedNetwork, Host, Observed, Site, StorageOnHost

LAN = IPv4Network("192.168.1.0/24")


def storage(name, kind, content, *, free=400, shared=False):
    return {"name": name, "kind": kind, "content": frozenset(content.split(",")), "free_gib": free, "shared": shared}


def site(hosts, *storages, networks, guests=(), version=(9, 1), name="", cores=8, memory_mib=32768):
    observed = Observed(
        version=version,
        hosts={one: Host(name=one, online=True, cores=cores, memory_mib=memory_mib) for one in hosts},
        guests=guests,
        storages={(host, one["name"]): StorageOnHost(host=host, **one) for host in hosts for one in storages},
    )
    return Site(endpoint=f"https://{hosts[0]}:8006", observed=observed, networks=networks, cluster_name=name)


def bridge(name, hosts, *addresses, cidr=LAN, gateway="192.168.1.1", vnet=False):
    return BridgedNetwork(
        name=name,
        hosts=frozenset(hosts),
        vnet=vnet,
        cidr=cidr if addresses else None,
        gateway=IPv4Address(gateway) if addresses else None,
        addresses=frozenset(map(IPv4Address, addresses)),
    )


LOCAL = storage("local", "dir", "iso,import,vztmpl,backup", free=60)

ONE_HOST = site(
    ["pve"],
    LOCAL,
    storage("local-lvm", "lvmthin", "images,rootdir"),
    networks=(bridge("vmbr0", ["pve"], "192.168.1.5"),),
)
