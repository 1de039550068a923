"""The same calls to a node, whatever it is, and the shape of what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infraflux.adapters.talos.talosctl import TALOS_ERRORS, Code, Talosctl, error_code, json_documents

CALLS: Mapping[str, tuple[str, ...]] = {
    "version": ("version", "--short"),
    "service list": ("service",),
    "one service": ("service", "kubelet"),
    "etcd members": ("etcd", "members"),
    "etcd status": ("etcd", "status"),
    "etcd alarms": ("etcd", "alarm", "list"),
    "a second bootstrap": ("bootstrap",),
    "system information": ("get", "systeminformation", "-o", "json"),
    "links": ("get", "links", "-o", "json"),
    "machine config": ("get", "machineconfig", "v1alpha1", "-o", "json"),
    "services": ("get", "services", "-o", "json"),
    "machine status": ("get", "machinestatus", "-o", "json"),
    "host name": ("get", "hostname", "-o", "json"),
    "node name": ("get", "nodename", "-o", "json"),
    "members": ("get", "members", "-o", "json"),
    "addresses of the node": ("get", "nodeaddress", "default", "-o", "json"),
    "disks": ("get", "disks", "-o", "json"),
    "system disk": ("get", "systemdisk", "-o", "json"),
    "extensions": ("get", "extensions", "-o", "json"),
    "a kind that does not exist": ("get", "nosuchthings"),
    "one that does not exist": ("get", "links", "nosuchlink"),
    "a configuration with an unknown field": ("apply-config", "--dry-run", "--file", "{unknown}"),
    "the configuration that it has": ("apply-config", "--dry-run", "--file", "{same}"),
    "a patch in the old form": ("patch", "machineconfig", "--dry-run", "--patch", "{json6902}"),
    "containers of Kubernetes": ("containers", "--kubernetes"),
    "memory": ("memory",),
    "mounts": ("mounts",),
    "a file": ("read", "/etc/os-release"),
    "a directory": ("list", "/etc/kubernetes"),
    "kernel log": ("dmesg",),
    "log of a service": ("logs", "kubelet", "--tail", "1"),
    "time": ("time",),
    "processes": ("processes",),
    "without a certificate": ("get", "links", "--insecure"),
}
JSON6902 = '[{"op": "add", "path": "/machine/env", "value": {"A": "b"}}]'


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What of an answer clients rely on; contents that differ from node to node are left out."""

    code: str
    """Empty where the call went well."""
    ids: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    """Fields of all specs."""
    head: tuple[str, ...] = ()
    """Columns of a table."""


def ask(talosctl: Talosctl, *, node: str, name: str, files: Mapping[str, Path | str]) -> Shape:
    """Make one call; the shape of the answer."""
    words = [str(word).format(**files) if word.startswith("{") else word for word in CALLS[name]]
    try:
        text = talosctl.call(*words, node=node)
    except TALOS_ERRORS as error:
        code = error_code(error)
        # A real node refuses a missing certificate in either way, from call to call.
        return Shape(code=(Code.CERTIFICATE_REQUIRED if code is Code.HUNG_UP else code).name)
    return shape_of(text)


def shape_of(text: str) -> Shape:
    """The shape of an answer that is no error."""
    if text.lstrip().startswith("{"):
        documents = json_documents(text)
        specs = [document.get("spec") for document in documents]
        keys = {key for spec in specs if isinstance(spec, dict) for key in spec}
        ids = {str(document["metadata"]["id"]) for document in documents}
        return Shape(code="", ids=tuple(sorted(ids)), keys=tuple(sorted(keys)))
    first = text.split("\n", 1)[0]
    columns = tuple(first.split())
    # Else it is text, or a table that stands on its side and begins with the node's address.
    titles = bool(columns) and all(word[0].isalpha() and word == word.upper() for word in columns)
    return Shape(code="", head=columns if titles else ())


def differing(real: Shape, simulated: Shape) -> dict[str, tuple[Any, Any]]:
    """Fields in which two shapes differ: what the real node has, what the simulated one."""
    fields = ("code", "ids", "keys", "head")
    pairs = {name: (getattr(real, name), getattr(simulated, name)) for name in fields}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
