"""The Talos image factory: it serves images only of schematics that were given to it before.

https://github.com/siderolabs/image-factory (README, HTTP frontend API): POST /schematics answers the id of the
document, which is the hash of its content; the same document again answers the same id.
"""

import requests

from infraflux.core.errors import ErrorClass, Permanent, Retryable

TIMEOUT_S = 30.0


def register_schematic(*, factory_url: str, document: str, expected_id: str) -> None:
    """Give the factory the schematic, so that its image can be downloaded.

    Raises Retryable where the factory does not answer, Permanent where it refuses the document or hashes it otherwise.
    """
    try:
        answer = requests.post(f"{factory_url}/schematics", data=document.encode(), timeout=TIMEOUT_S)
    except requests.RequestException as error:
        raise Retryable(
            f"the image factory {factory_url} does not answer: {type(error).__name__}", stage="image"
        ) from error
    if answer.status_code >= requests.codes.internal_server_error:
        raise Retryable(f"the image factory {factory_url} answers {answer.status_code}", stage="image")
    if not answer.ok:
        raise Permanent(
            f"the image factory refuses the schematic: {answer.status_code} {answer.text.strip()[:200]}",
            stage="image",
            error_class=ErrorClass.CONFIG,
            next_step="correct image.schematic: see the factory's list of official extensions",
        )
    found = answer.json().get("id")
    if found != expected_id:
        raise Permanent(
            f"the image factory calls the schematic {found}, it was computed as {expected_id}",
            stage="image",
            error_class=ErrorClass.CONFLICT,
            next_step=f"set image.schematic.id to {found}",
        )
