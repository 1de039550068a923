"""age recipients: which texts are one. Encrypting is the business of the secrets adapter."""

from typing import Any

import pyrage
from pyrage import plugin, ssh, tag, tagpq, x25519

_NATIVE = {"": x25519.Recipient, "tag": tag.Recipient, "tagpq": tagpq.Recipient}


def recipient(text: str) -> Any:
    """What age encrypts for: an X25519 key, an SSH key, a hardware key by its tag, or a plugin's key.

    Raises RecipientError, also where a key needs a plugin that is not on PATH.
    Kinds and prefixes: https://github.com/C2SP/C2SP/blob/main/age.md and age-plugin.md.
    """
    parsed = _parsed(text)
    if isinstance(parsed, plugin.Recipient):
        return plugin.RecipientPluginV1(parsed.plugin(), [parsed], [])
    return parsed


def is_recipient(text: str) -> bool:
    """Whether it is one, by its checksum too; no plugin is started."""
    try:
        _parsed(text)
    except pyrage.RecipientError:
        return False
    return True


def _parsed(text: str) -> Any:
    if text.startswith("ssh-"):
        return ssh.Recipient.from_str(text)
    kind = text.removeprefix("age1").rpartition("1")[0]
    return _NATIVE.get(kind, plugin.Recipient).from_str(text)
