"""One message to a webhook, in the form that Slack, Mattermost and Teams' connectors read: `{"text": ...}`."""

import requests

from infraflux.core.errors import ErrorClass, Permanent, Retryable

TIMEOUT_S = 10.0
"""A notification is worth less than the run that sends it."""


def post_text(url: str, text: str) -> None:
    """Send it. The URL is a secret to most of these services, so no error names more than its host."""
    host = url.split("://", 1)[-1].split("/", 1)[0].rpartition("@")[2]
    try:
        reply = requests.post(url, json={"text": text}, timeout=TIMEOUT_S, allow_redirects=False)
    except requests.RequestException as error:
        raise Retryable(f"{host} did not accept the notification: {type(error).__name__}", stage="notify") from None
    if reply.status_code >= 500:
        raise Retryable(f"{host} did not accept the notification: HTTP {reply.status_code}", stage="notify")
    if not reply.ok or reply.is_redirect:
        raise Permanent(
            f"{host} refused the notification: HTTP {reply.status_code}",
            stage="notify",
            error_class=ErrorClass.CONFIG,
            next_step="look at policy.drift.notify_url",
        )
