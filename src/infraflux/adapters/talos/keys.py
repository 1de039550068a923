"""Which keys Talos' documents have, by kind: what the pinned talosctl prints as its own reference.

`talosctl docs --config` writes one page per kind: a table of keys under a heading that names its place, such as
`### kubelet {#Config.machine.kubelet}`. The deprecated keys, which still work, are not on those pages: `_OLDER` has
them, from config/types/v1alpha1/v1alpha1_types.go of Talos 1.13.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infraflux.adapters.talos.talosctl import LOCAL_DEADLINE_S, Talosctl
from infraflux.config.suggest import did_you_mean

MAIN = "Config"
"""The page of the document without a kind: `machine` and `cluster`."""

_PLACE = re.compile(r"\{#(\S+)\}\s*$")
_ROW = re.compile(r"^\|`([^`]+)` \|((?:\[\]|map\[string\])*)(?:<a href=\"#([^\"]+)\">)?")
_TITLE = re.compile(r"^title: (\S+)$")


@dataclass(frozen=True)
class Key:
    """One key: where what it holds is described; empty where that is no section."""

    below: str = ""
    is_map: bool = False
    """Its first level below are names of the user's choice."""


@dataclass(frozen=True)
class TalosKeys:
    """The keys of every place of every kind."""

    places: Mapping[str, Mapping[str, Key]]

    @property
    def kinds(self) -> list[str]:
        return sorted(place for place in self.places if "." not in place and place != MAIN)

    def unknown(self, kind: str, path: tuple[str, ...]) -> tuple[tuple[str, ...], str] | None:
        """The path down to its first unknown key, and the nearest known one; None where all that is known fits."""
        place, free = kind, False
        for index, part in enumerate(path):
            if free:
                free = False
                continue
            known = self.places.get(place)
            if known is None:
                return None
            if part not in known:
                return path[: index + 1], did_you_mean(part, sorted(known))
            place, free = known[part].below, known[part].is_map
        return None


def read_keys(talosctl: Talosctl, *, workdir: Path) -> TalosKeys:
    """The reference of this talosctl; only the older keys where it cannot write one."""
    done = talosctl.runner([talosctl.binary, "docs", workdir, "--config"], deadline_s=LOCAL_DEADLINE_S)
    pages = sorted(workdir.glob("*/*.md")) if done.returncode == 0 else []
    return parse_pages(page.read_text() for page in pages)


def parse_pages(pages: Iterable[str]) -> TalosKeys:
    """The pages' tables, together with the older keys."""
    places: dict[str, dict[str, Key]] = {place: dict(keys) for place, keys in _OLDER.items()}
    for page in pages:
        place = ""
        for line in page.splitlines():
            if title := _TITLE.match(line):
                place = title[1]
            elif heading := _PLACE.search(line):
                place = heading[1]
            elif row := _ROW.match(line):
                places.setdefault(place, {})[row[1]] = Key(row[3] or "", row[2].startswith("map"))
    for place in list(places):
        if "." not in place and place != MAIN:
            places[place] |= {"apiVersion": Key(), "kind": Key()}
    return TalosKeys(places)


def _keys(names: str, **below: str) -> dict[str, Key]:
    return {name: Key() for name in names.split()} | {name: Key(place) for name, place in below.items()}


_NETWORK = "Config.machine.network"
_INTERFACE = f"{_NETWORK}.interfaces."
_REGISTRIES = "Config.machine.registries"
_OLDER: dict[str, dict[str, Key]] = {
    "Config.machine": _keys(
        "disks env systemDiskEncryption", network=_NETWORK, time="Config.machine.time", registries=_REGISTRIES
    ),
    "Config.machine.time": _keys("disabled servers bootTimeout"),
    "Config.machine.features": _keys("rbac stableHostname apidCheckExtKeyUsage"),
    "Config.cluster": _keys("allowSchedulingOnMasters"),
    "Config.cluster.apiServer": _keys("disablePodSecurityPolicy"),
    _NETWORK: _keys(
        "hostname nameservers searchDomains extraHostEntries kubespan disableSearchDomain", interfaces=_INTERFACE
    ),
    _INTERFACE: _keys(
        "interface deviceSelector addresses cidr bond bridge bridgePort mtu dhcp ignore dummy wireguard",
        routes=f"{_INTERFACE}.routes.",
        vlans=f"{_INTERFACE}.vlans.",
        dhcpOptions=f"{_INTERFACE}.dhcpOptions",
        vip=f"{_INTERFACE}.vip",
    ),
    f"{_INTERFACE}.routes.": _keys("network gateway source metric mtu"),
    f"{_INTERFACE}.vlans.": _keys("addresses cidr routes dhcp vlanId mtu vip dhcpOptions"),
    f"{_INTERFACE}.dhcpOptions": _keys("routeMetric ipv4 ipv6 duidv6"),
    f"{_INTERFACE}.vip": _keys("ip equinixMetal hcloud"),
    _REGISTRIES: {"mirrors": Key(f"{_REGISTRIES}.mirrors.", True), "config": Key(f"{_REGISTRIES}.config.", True)},
    f"{_REGISTRIES}.mirrors.": _keys("endpoints overridePath skipFallback"),
    f"{_REGISTRIES}.config.": _keys("tls auth"),
}
