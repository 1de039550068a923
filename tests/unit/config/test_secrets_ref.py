"""What is behind a reference may be damaged: the message names the place and shows nothing of the content."""

import pyrage
import pytest

from infraflux.config.secrets_ref import AGE_IDENTITY_VARIABLE, resolve
from infraflux.core.errors import Permanent

CANARY = "canary-8b1d"


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (f"{CANARY}: [", "secret age:all.age#key: the decrypted file is no YAML"),
        ("key: 42\n", "secret age:all.age#key: key is no text"),
        (f"other: {CANARY}\n", "secret age:all.age#key: the decrypted file has no key key"),
        (f"- {CANARY}\n", "secret age:all.age#key: the decrypted file has no key key"),
    ],
)
def test_a_damaged_age_file_is_named_and_not_shown(tmp_path, content, wrong):
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "all.age").write_bytes(pyrage.encrypt(content.encode(), [identity.to_public()]))
    with pytest.raises(Permanent) as caught:
        resolve("age:all.age#key", root=tmp_path, environ={AGE_IDENTITY_VARIABLE: str(identity)})
    assert caught.value.message == wrong
    assert caught.value.__cause__ is None
    assert CANARY not in str(caught.value)


def test_a_damaged_identity_is_not_shown(tmp_path):
    damaged = "AGE-SECRET-KEY-1CANARY"
    (tmp_path / "all.age").write_bytes(b"x")
    with pytest.raises(Permanent, match="the age identity is damaged") as caught:
        resolve("age:all.age#key", root=tmp_path, environ={AGE_IDENTITY_VARIABLE: damaged})
    assert damaged not in str(caught.value)
