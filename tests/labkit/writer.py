"""A client that writes to the Kubernetes API all the time, and what of it was kept."""

import json
import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Self

from infraflux.adapters.kubernetes.client import ClientTransport
from infraflux.core.errors import InfrafluxError

PATH = "/api/v1/namespaces/default/configmaps"
EVERY_S = 0.2
TIMEOUT_S = 2.0


@dataclass
class Writer:
    """Makes one ConfigMap every 200 ms through the cluster's own endpoint."""

    kubeconfig: Path
    acknowledged: list[tuple[float, str]] = field(default_factory=list)
    """When and which, of every write that the API server confirmed."""
    failed: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def _write(self) -> None:
        api = ClientTransport(self.kubeconfig, timeout_s=TIMEOUT_S)
        number = 0
        while not self._stop.wait(EVERY_S):
            number += 1
            body = {
                "metadata": {"name": f"write-{number}", "labels": {"writer": "witness"}},
                "data": {"n": str(number)},
            }
            try:
                answer = api.request("POST", PATH, body=json.dumps(body))
            except InfrafluxError:
                self.failed += 1
                continue
            if answer.status == 201:
                self.acknowledged.append((time.monotonic(), f"write-{number}"))
            else:
                self.failed += 1
        api.close()

    def lost(self) -> list[str]:
        """Writes that were confirmed and are not there."""
        api = ClientTransport(self.kubeconfig, timeout_s=30)
        answer = api.request("GET", f"{PATH}?labelSelector=writer%3Dwitness")
        api.close()
        assert answer.status == 200, answer.body
        there = {one["metadata"]["name"] for one in answer.body["items"]}
        return [name for _at, name in self.acknowledged if name not in there]

    @property
    def longest_gap_s(self) -> float:
        times = [at for at, _name in self.acknowledged]
        return max((after - before for before, after in pairwise(times)), default=0.0)
