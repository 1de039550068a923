"""What each call takes, by method and path, as the API viewer of Proxmox VE 9.1 has it.

`+guest` stands for all options of a guest. Parameters in the path are in `PATH`, once for all calls. `+any` means that
the call takes what it does not know, which only the index of agent commands does.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from infraflux_lab.proxmox.facts.cluster_calls import ACCESS, CLUSTER
from infraflux_lab.proxmox.facts.guest_calls import AGENT_COMMANDS, GUESTS
from infraflux_lab.proxmox.facts.kinds import Rule, rules, words
from infraflux_lab.proxmox.facts.node_calls import NODES

PATH: Mapping[str, Rule] = rules("""
command str !
groupid @group !
id @config-id !
iface str >=2 <=20 !
node @node !
pci str !
poolid @pool !
roleid @role !
rule @config-id !
sid @resource-or-vm-id !
snapname @config-id <=40 !
storage @storage !
tokenid @token-name !
upid str !
userid @user <=64 !
vmid int @vm 100..999999999 !
volume str !
""")

_SIMPLE = words("/version /cluster /cluster/status /cluster/tasks /cluster/options /cluster/mapping /nodes /access")


@dataclass(frozen=True, kw_only=True)
class CallFacts:
    """One call."""

    rules: Mapping[str, Rule]
    guest_options: bool = False
    takes_anything: bool = False


def _read(text: str) -> dict[str, CallFacts]:
    found: dict[str, CallFacts] = {}
    name, block = "", []
    for line in [*text.splitlines(), "GET"]:
        if line.startswith("  "):
            block.append(line.strip())
        elif line:
            if name:
                found[name] = _call(block)
            name, block = line, []
    return found


def _call(block: list[str]) -> CallFacts:
    return CallFacts(
        rules=rules("\n".join(line for line in block if not line.startswith("+"))),
        guest_options="+guest" in block,
        takes_anything="+any" in block,
    )


CALLS: Mapping[str, CallFacts] = {
    **{f"GET {path}": CallFacts(rules={}) for path in _SIMPLE},
    **{name: facts for text in (CLUSTER, ACCESS, NODES, GUESTS) for name, facts in _read(text).items()},
    **{
        f"{method} /nodes/{{node}}/qemu/{{vmid}}/agent/{command}": CallFacts(rules={})
        for command, method in AGENT_COMMANDS.items()
    },
}
