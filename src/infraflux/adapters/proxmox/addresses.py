"""Whether somebody already answers on an address that a new machine is to get."""

import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

# Talos API, Kubernetes API, SSH: what a machine that is in the way would most likely listen on.
PORTS = (50000, 6443, 22)
TIMEOUT_S = 0.5


def answering(addresses: Iterable[str], *, timeout_s: float = TIMEOUT_S) -> tuple[str, ...]:
    """Those addresses that accept a connection; silence proves nothing, so this can only warn."""
    targets = [(address, port) for address in addresses for port in PORTS]
    with ThreadPoolExecutor(max_workers=32) as pool:
        open_ = pool.map(lambda target: _accepts(target, timeout_s=timeout_s), targets)
        return tuple(sorted({address for (address, _), found in zip(targets, open_, strict=True) if found}))


def _accepts(target: tuple[str, int], *, timeout_s: float) -> bool:
    try:
        with socket.create_connection(target, timeout=timeout_s):
            return True
    except OSError:
        return False
