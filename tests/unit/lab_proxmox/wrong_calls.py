"""Right calls, and wrong ones made of them: one value changed so that the table of facts forbids it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from infraflux_lab.proxmox.facts.calls import CALLS, CallFacts
from infraflux_lab.proxmox.facts.kinds import Kind, Pairs, Rule
from infraflux_lab.proxmox.facts.options import FAMILIES, OPTIONS, PAIRS

PATH = {
    "node": "h1", "vmid": "100", "storage": "local", "poolid": "mine", "sid": "vm:100", "rule": "r1", "upid": "UPID:x",
    "volume": "local:iso/x.iso", "snapname": "before", "userid": "t@pve", "tokenid": "tok", "roleid": "PVEAdmin",
    "groupid": "ops", "id": "gpu", "iface": "vmbr0", "pci": "gpu",
}  # fmt: skip
EXAMPLES = {
    "address": "192.0.2.1", "backup-list": "keep-last=3", "boot-device": "scsi0", "bridge": "vmbr0",
    "cidr": "192.0.2.0/24",
    "config-id": "some-id", "content": "images", "cpu-set": "0-3", "dns-name": "a.example", "drive-file": "none",
    "email": "a@example.org", "group": "ops", "ha-node": "h1:2", "hotplug": "disk", "ipv4": "192.0.2.1",
    "ipv4-config": "dhcp", "ipv6": "2001:db8::1", "ipv6-config": "auto", "mac": "BC:24:11:00:00:01", "node": "h1",
    "phys-bits": "host", "pool": "mine", "privilege": "VM.Audit", "realm": "pve", "resource-id": "vm:100",
    "resource-or-vm-id": "100", "role": "PVEAdmin", "size": "8G", "startup": "order=1", "storage": "local",
    "storage-pair": "local:lvm", "tag": "mine", "task-status": "ok", "text": "anything", "token": "t@pve!x",
    "token-name": "tok", "urlencoded": "a%20b", "user": "t@pve", "vm": "100", "volume": "local:iso/x.iso",
    "volume-or-path": "local:import/x.raw",
}  # fmt: skip
SAMPLES = (
    "scsi0", "now", "1", "/dev/parport0", "socket", "q35", "cdn", "abc", "+aes", "00:02.0", "spice", "0x1af4",
    "0x5000c500a0b1c2d3", "0-1", "00000000-0000-4000-8000-000000000000", "0000:02:00.0", "8086:1234", "8G", "net0=1500",
    "http://192.0.2.1/x", "t@pve", "/var/tmp/pveupload-0a",
)  # fmt: skip
"""Texts of which one fits each pattern of the table."""
WRONG_FORMAT = "\x01 never :=?;"
NEVER_WRONG = frozenset({"text"})


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """A wrong call, and the parameter that makes it one."""

    method: str
    path: str
    form: dict[str, str]
    parameter: str
    why: str

    @property
    def name(self) -> str:
        return f"{self.method} {self.path} {self.parameter}: {self.why}"


def filled(route: str) -> str:
    """The route with values in its path."""
    return re.sub(r"\{(\w+)(?::[^}]*)?\}", lambda match: PATH[match[1]], route)


def right(rule: Rule, name: str) -> str:
    """A value that passes."""
    kind = rule.kind
    if kind.pairs:
        return right_pairs(PAIRS[kind.pairs])
    if kind.choices:
        return kind.choices[0]
    if kind.form:
        return EXAMPLES[kind.form]
    if kind.pattern:
        return next(sample for sample in SAMPLES if re.fullmatch(kind.pattern, sample))
    if kind.type in ("integer", "number"):
        return str(int(kind.minimum or 1))
    if kind.type == "boolean":
        return "1"
    return "host" if name == "cputype" else "x" * (kind.shortest or 1)


def right_pairs(pairs: Pairs) -> str:
    """The fewest keys that pass."""
    keys = [key for key, rule in pairs.rules.items() if rule.required] or [next(iter(pairs.rules))]
    return ",".join(f"{key}={right(pairs.rules[key], key)}" for key in keys)


def required(facts: CallFacts) -> dict[str, str]:
    """The smallest right form."""
    return {name: right(rule, name) for name, rule in facts.rules.items() if rule.required}


def wrong_values(kind: Kind) -> Iterator[tuple[str, str]]:
    """Values that the kind forbids, and what is wrong with each."""
    if kind.type in ("boolean", "integer", "number"):
        yield "many", "not of its type"
    if kind.type == "integer":
        yield "1.5", "a fraction"
    if kind.choices:
        yield "no-such-choice", "not a choice"
    if kind.pattern or (kind.form and kind.form not in NEVER_WRONG):
        yield WRONG_FORMAT, "not of its format"
    if kind.minimum is not None:
        yield str(int(kind.minimum) - 1), "too small"
    if kind.maximum is not None:
        yield str(int(kind.maximum) + 1), "too large"
    if kind.longest is not None and not (kind.pattern or kind.choices or kind.pairs):
        yield "x" * (kind.longest + 1), "too long"
    if kind.pairs:
        yield from wrong_pairs(PAIRS[kind.pairs])


def wrong_pairs(pairs: Pairs) -> Iterator[tuple[str, str]]:
    """Texts with one wrong, missing or unknown key."""
    base = right_pairs(pairs)
    yield f"{base},colour=red", "unknown key"
    for key, rule in pairs.rules.items():
        rest = ",".join(part for part in base.split(",") if not part.startswith(f"{key}="))
        if rule.required:
            yield rest or ",", f"without {key}"
        for value, why in wrong_values(rule.kind):
            yield f"{rest},{key}={value}".lstrip(","), f"{key} {why}"


def wrong_calls(routes: list[tuple[str, str]]) -> Iterator[Wrong]:
    """Every wrong call of every route."""
    for method, route in routes:
        facts = CALLS[f"{method} {re.sub(r':[^}]*', '', route)}"]
        base, path = required(facts), filled(route)
        if not facts.takes_anything:
            yield Wrong(method=method, path=path, form={**base, "colour": "red"}, parameter="colour", why="unknown")
        for name in base:
            rest = {key: value for key, value in base.items() if key != name}
            yield Wrong(method=method, path=path, form=rest, parameter=name, why="missing")
        for name, rule in _rules(facts).items():
            beside = {rule.needs: right(facts.rules[rule.needs], rule.needs)} if rule.needs else {}
            for value, why in wrong_values(rule.kind):
                form = {**base, **beside, name: value}
                yield Wrong(method=method, path=path, form=form, parameter=name, why=why)
            if rule.needs:
                form = {**base, name: right(rule, name)}
                yield Wrong(method=method, path=path, form=form, parameter=rule.needs, why=f"missing beside {name}")


def _rules(facts: CallFacts) -> dict[str, Rule]:
    options = {**OPTIONS, **{f"{name}0": rule for name, (_, rule) in FAMILIES.items()}} if facts.guest_options else {}
    return {**options, **facts.rules}
