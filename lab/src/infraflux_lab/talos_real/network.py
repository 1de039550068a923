"""The networks of the nodes: a Linux bridge for each of Proxmox' bridges, in the network namespace the lab runs in."""

import asyncio
import hashlib
from dataclasses import dataclass
from ipaddress import IPv4Interface

from infraflux_lab.contracts import Machine, Nic
from infraflux_lab.state import LabError

# IFNAMSIZ of linux/if.h, less its closing NUL.
NAME_LENGTH = 15
BRIDGE, CARD = "ifxb", "ifxc"
_LAB_DIGITS = 5


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One layer-2 network; two cards with the same bridge and VLAN of one environment share it."""

    environment: str
    bridge: str
    vlan: int | None

    @classmethod
    def of(cls, machine: Machine, nic: Nic) -> "Segment":
        return cls(environment=machine.environment, bridge=nic.bridge, vlan=nic.vlan)


def device_prefix(kind: str, *, lab: str) -> str:
    """What the names of this lab's devices of one kind begin with, and those of no other lab."""
    return kind + hashlib.sha256(lab.encode()).hexdigest()[:_LAB_DIGITS]


def device_name(kind: str, *, lab: str, what: str) -> str:
    """A name for a network device: the lab's and the thing's digests, as long as the kernel allows."""
    return (device_prefix(kind, lab=lab) + hashlib.sha256(what.encode()).hexdigest())[:NAME_LENGTH]


def check_address(nic: Nic, *, machine: str) -> IPv4Interface | None:
    """The card's address with its prefix; LabError for one that a real node cannot have."""
    if nic.address is None:
        return None
    found = IPv4Interface(f"{nic.address}/{nic.prefix_length}")
    if found.ip.is_loopback:
        # The kernel keeps 127.0.0.0/8 inside a host (RFC 1122, 3.2.1.3), and the kubelet refuses such a node address.
        raise LabError(
            f"{machine}: {nic.address} is a loopback address, which no real node can have; give the nodes "
            "another network: network.node_cidr, gateway and dns in config/environments/, vip and addresses in "
            "clusters/overlays/"
        )
    return found


async def ip(*words: str, check: bool = True) -> str:
    """`ip` of iproute2; its standard output."""
    process = await asyncio.create_subprocess_exec(
        "ip", *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    if check and process.returncode != 0:
        raise LabError(f"ip {' '.join(words)}: {errors.decode(errors='replace').strip()}")
    return output.decode()


class Networks:
    """The bridges of one lab."""

    def __init__(self, lab: str) -> None:
        self._lab = lab
        self._made: dict[Segment, str] = {}
        self._gateways: set[str] = set()
        self._guard = asyncio.Lock()

    async def plug(self, segment: Segment, gateway: IPv4Interface | None) -> tuple[str, bool]:
        """The bridge of a segment, which has the gateway's address; whether that address is new."""
        async with self._guard:
            name = self._made.get(segment) or await self._make(segment)
            new = gateway is not None and str(gateway.ip) not in self._gateways
            if gateway is not None and new:
                await ip("address", "replace", str(gateway), "dev", name)
                self._gateways.add(str(gateway.ip))
            return name, new

    def card(self, machine: Machine, number: int) -> str:
        """The name of the lab's end of a card's cable."""
        return device_name(CARD, lab=self._lab, what=f"{machine.key}/{number}")

    async def _make(self, segment: Segment) -> str:
        name = device_name(BRIDGE, lab=self._lab, what=f"{segment.environment}/{segment.bridge}/{segment.vlan}")
        await ip("link", "delete", name, check=False)  # left by a lab that was killed
        await ip("link", "add", name, "type", "bridge")
        await ip("link", "set", "lo", "up")  # down in a namespace that was made for the lab
        await ip("link", "set", name, "up")
        self._made[segment] = name
        return name
