"""Messages that are about no single cluster: to every channel that an environment's policy names, once."""

from pathlib import Path

from infraflux.adapters.notify import post_text
from infraflux.config.load import Fleet
from infraflux.config.secrets_ref import resolve
from infraflux.core.errors import InfrafluxError


def send_to_all(root: Path, fleet: Fleet, text: str) -> list[str]:
    """Send `text` to every channel; returns what could not be delivered."""
    references = {spec.policy.drift.notify_url for spec in fleet.clusters.values()} - {None}
    failed = []
    for reference in sorted(str(one) for one in references):
        try:
            post_text(reference if "://" in reference else resolve(reference, root=root).reveal(), text)
        except InfrafluxError as error:
            failed.append(error.message)
    return failed
