"""Whole configuration trees for the fuzz tests: the small fleet, broken anywhere, or changed in what it may say."""

import copy
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from infraflux.config.tree import plain
from infraflux.config.yaml_reader import read_yaml
from infraflux.render.block_yaml import dump

FLEET = Path(__file__).parents[1] / "fixtures" / "fleet"
FILES = [file for file in sorted(FLEET.rglob("*.yaml")) if "patches" not in file.parts]
DOCUMENTS: dict[str, Any] = {str(f.relative_to(FLEET)): plain(read_yaml(f, root=FLEET)) for f in FILES}
OVERLAY = "clusters/overlays/dev/dev-1.yaml"

Tree = dict[str, str]
"""Text by path below the root, in place of what the fleet has there."""

_ODD = st.sampled_from(
    [
        "-",
        "-1",
        "0",
        "0644",
        "0o17",
        "1e999",
        ".inf",
        ".nan",
        "null",
        "~",
        "yes",
        "off",
        "22:00",
        "1_000",
        "2030-01-31",
        "999999999999",
        "10.0.0.1",
        "10.0.0.0/33",
        "::1",
        "../x",
        "/x",
        "~/x",
        "-x",
        "--x",
        "env:X",
        "file:x",
        "age:x#y",
        "a.b",
        "dev/dev-1",
        "é",
        "${x}",
        "{{x}}",
        "%{x}",
        "$patch",
        "delete",
        "v1.13.9",
        "v0.0.0",
        "prod",
    ]
)
_SPLICES = ["\t", "[", "{", "- ", ": ", "&a ", "---\n"]
_SCALARS = _ODD | st.text(max_size=8) | st.integers() | st.floats() | st.booleans() | st.none()
_JSON = st.recursive(
    _SCALARS,
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=6), one, max_size=3),
    max_leaves=6,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield (*path, key)
        yield from _paths(child, (*path, key))


_PLACES = [(file, path) for file, document in DOCUMENTS.items() for path in _paths(document)]


@st.composite
def broken(draw: st.DrawFn) -> Tree:
    """Up to four values replaced, removed, renamed or wrapped, and now and then a text that is cut or spliced."""
    documents = copy.deepcopy(DOCUMENTS)
    for _ in range(draw(st.integers(1, 4))):
        file, path = draw(st.sampled_from(_PLACES))
        _change(draw, documents[file], path)
    tree = {file: _text(document) for file, document in documents.items()}
    if draw(st.integers(0, 3)) == 0:
        file = draw(st.sampled_from(sorted(tree)))
        at = draw(st.integers(0, len(tree[file])))
        tree[file] = tree[file][:at] + draw(
            st.text(max_size=12) | st.sampled_from(["\t", "[", "{", "- ", ": ", "&a ", "---\n"])
        )
    return tree


def _change(draw: st.DrawFn, document: Any, path: tuple[Any, ...]) -> None:
    below = document
    for part in path[:-1]:
        below = below[part] if _has(below, part) else None
    key = path[-1]
    if not _has(below, key):  # an earlier change took it away
        return
    how = draw(st.sampled_from(["replace", "remove", "rename", "wrap", "map"]))
    value = below.pop(key) if isinstance(below, dict) else below[key]
    if how == "rename" and isinstance(below, dict):
        below[draw(st.text(min_size=1, max_size=8))] = value
    elif how != "remove":
        below[key] = {"replace": draw(_JSON), "wrap": [value], "map": {"name": value}}.get(how, value)


def _has(value: Any, key: Any) -> bool:
    if isinstance(value, dict):
        return key in value
    return isinstance(value, list) and isinstance(key, int) and key < len(value)


def _text(document: Any) -> str:
    try:
        return dump(document) if isinstance(document, dict) else str(document)
    except (TypeError, ValueError):
        return repr(document)


_NAMES = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=12)
_WIDE = st.text(string.ascii_letters + string.digits + "-_./:=,@+ ", min_size=1, max_size=16)
_HOSTS = st.lists(_NAMES, min_size=1, max_size=3).map(".".join)
_VALUES = st.dictionaries(_NAMES, _JSON, max_size=3)
_TALOS = st.sampled_from(
    [
        {"machine": {"sysctls": {"a.b": "1"}}},
        {"machine": {"kubelet": {"extraArgs": {"v": "4"}, "extraConfig": {"a": {"b": [1]}}}}},
        {"machine": {"files": [{"path": "/var/a", "op": "create", "permissions": 420, "content": "a"}]}},
        {"machine": {"network": {"hostname": "a"}}},
        {"machine": {"install": {"disk": ""}}},
        {"machine": {"features": {"kubePrism": {"enabled": False}}}},
        {"cluster": {"apiServer": {"extraArgs": {"a": "b"}}, "etcd": {"extraArgs": {}}}},
        {"cluster": {"network": {"podSubnets": ["10.200.0.0/16"]}}},
        {"apiVersion": "v1alpha1", "kind": "WatchdogTimerConfig", "device": "/dev/watchdog0"},
        {"machine": {"nodeLabels": {"a": "1e3"}, "kubelet": {"clusterDNS": ["10.111.0.10"]}}},
        {"cluster": {"apiServer": {"extraArgs": {"etcd-servers": "x"}}, "coreDNS": {"disabled": True}}},
        {"machine": {"time": {"$patch": "delete"}}},
        {"apiVersion": "v1alpha1", "kind": "NetworkDefaultActionConfig", "ingress": "block"},
        {"apiVersion": "v1alpha1", "kind": "TimeSyncConfig", "ptp": {"devices": ["/dev/ptp0"]}},
        {"apiVersion": "v1alpha1", "kind": "ExtensionServiceConfig", "name": "x", "environment": ["A=env:B", "C=x y"]},
        {"apiVersion": "v1alpha1", "kind": "UserVolumeConfig", "name": "x"},
        {"apiVersion": "v1alpha1", "kind": "ResolverConfig", "nameservers": [{"address": "10.0.0.53"}]},
    ]
)
_SAID: dict[tuple[str, ...], st.SearchStrategy[Any]] = {
    ("network", "mtu"): st.integers(1200, 9300),
    ("network", "ntp"): st.lists(_HOSTS | st.just("/dev/ptp0"), min_size=1, max_size=3),
    ("network", "dns"): st.lists(st.ip_addresses(v=4).map(str), min_size=1, max_size=3),
    ("network", "cluster_domain"): _HOSTS,
    ("talos", "install_disk"): _WIDE.map(lambda text: f"/dev/{text}"),
    ("image", "installer_registry"): _WIDE,
    ("image", "schematic", "kernel_args"): st.lists(_WIDE, max_size=2),
    ("gitops", "facts"): st.dictionaries(_WIDE, _WIDE, max_size=2),
    ("gitops", "application", "namespaces"): st.lists(_NAMES, min_size=1, max_size=2),
    ("gitops", "platform", "revision"): _WIDE,
    ("gitops", "platform", "path"): _WIDE,
    ("policy", "promotion", "remote"): _WIDE,
    ("proxmox", "cpu_type"): st.sampled_from(["host", "kvm64", "EPYC-Turin", "custom-a.b"]) | _WIDE,
    ("proxmox", "pool"): _WIDE,
    ("proxmox", "storage", "disks"): _WIDE,
    ("proxmox", "tags"): st.lists(_WIDE, max_size=2),
    ("secrets", "bundle"): _WIDE,
    ("platform", "gateway", "tls_hosts"): st.lists(_NAMES | st.just("*"), max_size=2),
}


@st.composite
def said(draw: st.DrawFn) -> Tree:
    """The fleet with an overlay that says things the models allow, or nearly allow."""
    layer: dict[str, Any] = copy.deepcopy(DOCUMENTS[OVERLAY])
    for path in draw(st.lists(st.sampled_from(sorted(_SAID)), max_size=4, unique=True)):
        below = layer
        for part in path[:-1]:
            below = below.setdefault(part, {})
        below[path[-1]] = draw(_SAID[path])
    patches = [{"name": f"p{number}", "content": one} for number, one in enumerate(draw(st.lists(_TALOS, max_size=2)))]
    layer.setdefault("talos", {})["patches"] = {draw(st.sampled_from(["all", "control_plane", "worker"])): patches}
    worker = next(pool for pool in layer["node_pools"] if pool["name"] == "worker")
    worker |= {"labels": draw(st.dictionaries(_WIDE, _WIDE, max_size=1)), "taints": draw(_taints())}
    layer.setdefault("platform", {})["components"] = [{"name": "cilium", "values": draw(_VALUES)}]
    return {OVERLAY: _text(layer)}


def _taints() -> st.SearchStrategy[list[dict[str, str]]]:
    effects = st.sampled_from(["NoSchedule", "PreferNoSchedule", "NoExecute"])
    return st.lists(st.fixed_dictionaries({"key": _NAMES, "value": _NAMES, "effect": effects}), max_size=1)
