"""Secret values of a house, and every place where none of them may be."""

import base64
import re
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from labkit.house import House

from infraflux.operations.talos import open_talos

SAMPLE_S = 0.05

HOLDERS: Mapping[str, str] = {
    "lab/": "the simulated hardware: its disks, tokens and machine configs are what a real one would hold",
    "age/": "the identity that opens the bundles",
    "service/credentials.json": "the password of UI and API, for the user",
    "clusters/*/*/kubeconfig": "credentials for people",
    "clusters/*/*/talosconfig": "credentials for people",
}
"""Files below `.infraflux` whose purpose is to hold secrets, and why. All are 0600."""


def secrets_of(house: House, *keys: str) -> dict[str, str]:
    """Every secret value of the house, by what it is."""
    credentials = house.service.credentials()
    found = {"service password": credentials.password, "encryption key": credentials.encryption_key}
    for path in (house.lab.root / "credentials").iterdir():
        text = path.read_text().strip()
        # Some are `user:password`, of which the user is public.
        found[path.name] = text.rpartition(":")[2]
    found["age identity"] = identity(house.root / ".infraflux" / "age" / "identity.txt")
    for key in keys:
        found |= {f"{key} bundle {number}": value for number, value in enumerate(bundle_values(house, key))}
        found |= people(house.root / ".infraflux" / "clusters" / key)
    return {name: value for name, value in found.items() if value}


def identity(path: Path) -> str:
    """The secret line of an age identity file."""
    return next((line for line in path.read_text().splitlines() if line.startswith("AGE-SECRET-KEY-")), "")


def people(directory: Path) -> dict[str, str]:
    """The private keys that a cluster's administrators use, where it stands."""
    found = {}
    for name in ("kubeconfig", "talosconfig"):
        path = directory / name
        text = path.read_text() if path.exists() else ""
        keys = re.findall(r"^ *(?:client-key-data|key): (\S{40,})$", text, re.MULTILINE)
        found |= {f"{directory.name} {name} {number}": value for number, value in enumerate(keys)}
    return found


def bundle_values(house: House, key: str) -> list[str]:
    """Keys and tokens of a Talos bundle, as they stand there and decoded; certificates are public."""
    bundle = open_talos(house.spec(key), root=house.root).workspace.bundle
    public = {entry["crt"] for entry in bundle.document["certs"].values() if "crt" in entry}
    values = sorted(bundle.sensitive_values() - public)
    decoded = []
    for value in values:
        with suppress(ValueError):
            text = base64.b64decode(value, validate=True).decode()
            # The body of a PEM block: its first and last line are the same for everybody.
            decoded += [line for line in text.splitlines() if len(line) > 30 and "-----" not in line]
    return [*values, *decoded]


def holds(name: str) -> bool:
    """Whether a file below `.infraflux` is there to hold secrets."""
    path = Path(name)
    return any(name.startswith(pattern) if pattern.endswith("/") else path.match(pattern) for pattern in HOLDERS)


def texts(house: House) -> Iterator[tuple[str, str]]:
    """Everything the product keeps or shows: where, and the text."""
    yield from of_api(house)
    state = house.root / ".infraflux"
    for path in sorted(state.rglob("*")):
        name = str(path.relative_to(state))
        if path.is_file() and not path.is_symlink() and not holds(name):
            yield from ((name, text) for text in readable(path))


def readable(path: Path) -> Iterator[str]:
    """The content of a file, and of what is packed in it: a saved plan of Terraform is a zip archive."""
    yield path.read_bytes().decode(errors="replace")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(one).decode(errors="replace") for one in archive.namelist())


def of_api(house: House) -> Iterator[tuple[str, str]]:
    """What anybody with the UI sees."""
    for what, path in {
        "log": "/logs/filter",
        "artifact": "/artifacts/filter",
        "flow run": "/flow_runs/filter",
        "task run": "/task_runs/filter",
        "variable": "/variables/filter",
    }.items():
        yield from ((what, str(row)) for row in house.pages(path, {}))
    page = house.api.post("/events/filter", {"limit": 50})
    while True:
        yield from (("event", str(event)) for event in page["events"])
        if not page.get("next_page"):
            return
        page = house.api.get(page["next_page"].partition("/api")[2])


class CommandLines:
    """Every command line that any process of this machine had while this ran."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "CommandLines":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    self.seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            time.sleep(SAMPLE_S)
