"""What Proxmox answers to a Terraform refresh of our stacks, read in a few calls for every cluster of one endpoint.

The answers are taken as they are, field by field, and not understood: a field that nobody here knows counts like any
other. Only what moves by itself (load, counters, uptime) is left out; the provider makes no attribute of it that a
plan could change.
"""

import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol

from infraflux.adapters.proxmox.client import ProxmoxAccess, ProxmoxMissing, ProxmoxReader
from infraflux.adapters.proxmox.facts import Guest
from infraflux.adapters.proxmox.observe import guests_of

READS_AT_ONCE = 8
MOVING = frozenset({"digest", "used"})
"""Change while nobody changes the object; `digest` is a checksum of the file that the answer was read from."""
MOVING_IN_LISTS = MOVING | {
    *("cpu", "mem", "memhost", "disk", "diskread", "diskwrite", "netin", "netout", "uptime"),
    *(f"pressure{what}{how}" for what in ("cpu", "memory", "io") for how in ("some", "full")),
}
"""The same for a row of `cluster/resources`; in a configuration `cpu` is the processor's type."""
_DRIVE = re.compile(r"^(?:scsi|sata|virtio|ide|efidisk|tpmstate)\d+$")


class Reader(Protocol):
    """What reads one path; ProxmoxReader is one."""

    def read(self, path: str, **parameters: Any) -> Any: ...


class Snapshot:
    """The answers of one endpoint; each call is made once, whoever asks. Safe to share between threads."""

    def __init__(self, access: ProxmoxAccess, *, connect: Callable[[ProxmoxAccess], Reader] = ProxmoxReader) -> None:
        self._access, self._connect = access, connect
        self._answers: dict[str, Future[Any]] = {}
        self._idle: list[Reader] = []
        self._lock = threading.Lock()

    def guests(self) -> tuple[Guest, ...]:
        """Every guest of the endpoint."""
        return guests_of(self._rows())

    def machines(self, vm_ids: Collection[int]) -> dict[str, Any]:
        """`vm/<id>` -> where it is, how it runs, its configuration, what of that waits for its next start while it
        runs, and its volumes; None where it does not exist."""
        rows = {int(row["vmid"]): row for row in self._rows() if row["type"] in ("qemu", "lxc")}
        with ThreadPoolExecutor(max_workers=READS_AT_ONCE) as pool:
            found = pool.map(lambda vm_id: self._machine(rows.get(vm_id)), sorted(vm_ids))
            return {f"vm/{vm_id}": one for vm_id, one in zip(sorted(vm_ids), found, strict=True)}

    def ha(self, vm_ids: Collection[int], *, rule_prefix: str) -> dict[str, Any]:
        """`ha/<sid>` and `rule/<name>`: HA resources of these machines, and every rule that names one of them."""
        sids = {f"vm:{vm_id}" for vm_id in vm_ids}
        found: dict[str, Any] = {f"ha/{sid}": None for sid in sorted(sids)}
        found |= {f"ha/{row['sid']}": still(row) for row in self._read("cluster/ha/resources") if row["sid"] in sids}
        for rule in self._read("cluster/ha/rules"):
            if rule["rule"].startswith(rule_prefix) or sids & set(re.split(r"[,;\s]+", str(rule.get("resources", "")))):
                found[f"rule/{rule['rule']}"] = still(rule)
        return found

    def pools(self, names: Iterable[str]) -> dict[str, Any]:
        """`pool/<id>` -> its row, None where it does not exist."""
        rows = {row["poolid"]: still(row) for row in self._read("pools")}
        return {f"pool/{name}": rows.get(name) for name in sorted(names)}

    def files(self, places: Iterable[tuple[str, str, str]]) -> dict[str, Any]:
        """`file/<host>/<volume>` for each (host, storage, volume id), None where it does not exist."""
        return {f"file/{host}/{volume}": self._volume(host, storage, volume) for host, storage, volume in places}

    # Inside

    def _rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._read("cluster/resources", type="vm")
        return rows

    def _machine(self, row: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if row is None:
            return None
        host, kind, vm_id = row["node"], row["type"], row["vmid"]
        try:
            config = still(self._read(f"nodes/{host}/{kind}/{vm_id}/config"))
            pending = self._read(f"nodes/{host}/{kind}/{vm_id}/pending") if row.get("status") == "running" else ()
        except ProxmoxMissing:
            config, pending = {}, ()  # removed or moved in this very moment: different from whatever it was
        volumes = sorted(_volumes(config))
        return {
            "row": still(row, MOVING_IN_LISTS),
            "config": config,
            "pending": sorted((one for one in pending if one["key"] not in MOVING), key=lambda one: str(one["key"])),
            "volumes": {volume: self._volume(host, volume.partition(":")[0], volume) for volume in volumes},
        }

    def _volume(self, host: str, storage: str, volume: str) -> Any:
        try:
            listed = self._read(f"nodes/{host}/storage/{storage}/content")
        except ProxmoxMissing:
            return None
        return next((still(row) for row in listed if row["volid"] == volume), None)

    def _read(self, path: str, **parameters: Any) -> Any:
        """The answer, asked for once: whoever comes second waits for it. An error is everybody's."""
        with self._lock:
            mine = path not in self._answers
            answer = self._answers.setdefault(path, Future())
        if mine:
            try:
                with self._reader() as reader:
                    answer.set_result(reader.read(path, **parameters))
            except BaseException as error:
                answer.set_exception(error)
                raise
        return answer.result()

    @contextmanager
    def _reader(self) -> Iterator[Reader]:
        """A connection is for one thread at a time, and outlives it."""
        with self._lock:
            reader = self._idle.pop() if self._idle else None
        reader = reader or self._connect(self._access)
        yield reader
        with self._lock:
            self._idle.append(reader)


def still(row: Mapping[str, Any], moving: Collection[str] = MOVING) -> dict[str, Any]:
    """The fields of an answer that only change when somebody changes something."""
    return {name: value for name, value in row.items() if name not in moving}


def _volumes(config: Mapping[str, Any]) -> Iterable[str]:
    for option, text in config.items():
        volume = str(text).partition(",")[0]
        if _DRIVE.match(option) and ":" in volume:
            yield volume
