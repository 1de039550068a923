"""Which options a guest has, their JSON types, and which privilege changes them.

Proxmox stores everything as text and answers numbers for integer and boolean options; clients rely on that.
"""

import re
from collections.abc import Mapping
from typing import Any

from infraflux_lab.proxmox.facts.check import option_rule, split_pairs
from infraflux_lab.proxmox.facts.options import FAMILIES, PAIRS


def words(text: str) -> frozenset[str]:
    """A set of names, written as a sentence."""
    return frozenset(text.split())


DRIVES = frozenset({"ide", "sata", "scsi", "virtio"})
SYSTEM_DRIVES = frozenset({"efidisk0", "tpmstate0"})

_INDEXED_NAME = re.compile(r"^([a-z]+)(\d+)$")
_TAG_SEPARATORS = re.compile(r"[,; ]+")


def family(name: str) -> str:
    """`scsi` of `scsi0`; the name itself where it has no index."""
    match = _INDEXED_NAME.match(name)
    if match and match[1] in FAMILIES and int(match[2]) <= FAMILIES[match[1]][0]:
        return match[1]
    return name


def is_drive(name: str) -> bool:
    """Whether the option is a disk or CD drive (not EFI, TPM or unused)."""
    return name != family(name) and family(name) in DRIVES


def is_volume_option(name: str) -> bool:
    """Whether the option refers to a volume the guest owns."""
    return is_drive(name) or name in SYSTEM_DRIVES or name.startswith("unused")


def known(name: str) -> bool:
    """Whether a guest has such an option."""
    return option_rule(name) is not None


def typed_options(form: Mapping[str, str]) -> dict[str, Any]:
    """Checked options as Proxmox keeps and shows them: integers and booleans as numbers, the rest as text."""
    return {name: _typed(name, text) for name, text in form.items()}


def _typed(name: str, text: str) -> Any:
    rule = option_rule(name)
    if name == "tags":
        return normal_tags(text)
    if name == "memory":
        return str(int(split_pairs(PAIRS["memory"], text)["current"]))
    if rule is None or rule.kind.type == "string":
        return text
    value = float(text)
    return int(value) if value.is_integer() else value


def normal_tags(text: str) -> str:
    """Tags lower-cased, unique, sorted, as a cluster with default `tag-style` keeps them."""
    return ";".join(sorted({tag.lower() for tag in _TAG_SEPARATORS.split(text) if tag}))


def parse_properties(text: str, *, default_key: str) -> dict[str, str]:
    """`a,b=c` as a dictionary; the part without a key is the default key's."""
    properties: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        key, separator, value = part.partition("=")
        if separator:
            properties[key.strip()] = value
        else:
            properties[default_key] = part
    return properties


def print_properties(properties: Mapping[str, str], *, default_key: str) -> str:
    """The reverse: default key first without its name, the rest sorted."""
    head = [properties[default_key]] if default_key in properties else []
    return ",".join(head + [f"{key}={properties[key]}" for key in sorted(properties) if key != default_key])
