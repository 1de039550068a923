"""Every kind of reference resolves; every way to miss is named; no value is ever shown."""

from pathlib import Path

import pyrage
import pytest
from pyrage import x25519

from infraflux.config.secrets_ref import AGE_IDENTITY_VARIABLE, resolve
from infraflux.core.errors import Permanent

CANARY = "canary-71d0-do-not-print"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text(f"{CANARY}\n")
    (tmp_path / "empty").write_text("\n")
    return tmp_path


@pytest.fixture
def environ(root: Path) -> dict[str, str]:
    identity = x25519.Identity.generate()
    (root / "vault.age").write_bytes(pyrage.encrypt(f"token: {CANARY}\n".encode(), [identity.to_public()]))
    return {"TOKEN": CANARY, AGE_IDENTITY_VARIABLE: str(identity)}


@pytest.mark.parametrize("reference", ["env:TOKEN", "file:token", "age:vault.age#token"])
def test_each_kind_resolves_and_does_not_print(root: Path, environ: dict[str, str], reference: str):
    secret = resolve(reference, root=root, environ=environ)
    assert secret.reveal() == CANARY
    assert CANARY not in f"{secret} {secret!r}"
    assert reference in str(secret)


MISSING = {
    "unset variable": ("env:NOPE", "environment variable NOPE is not set"),
    "absent file": ("file:nope", "cannot be read (No such file or directory)"),
    "empty file": ("file:empty", "is empty"),
    "absent age file": ("age:nope.age#token", "cannot be read (No such file or directory)"),
    "absent key": ("age:vault.age#other", "has no key other"),
    "no reference": ("plain-text", "use env:NAME, file:path or age:path#key"),
}


@pytest.mark.parametrize(("reference", "message"), MISSING.values(), ids=MISSING.keys())
def test_what_is_missing_is_named(root: Path, environ: dict[str, str], reference: str, message: str):
    with pytest.raises(Permanent) as caught:
        resolve(reference, root=root, environ=environ)
    assert message in str(caught.value)
    assert CANARY not in str(caught.value)


def test_without_a_fitting_identity_the_variable_is_named(root: Path, environ: dict[str, str]):
    environ[AGE_IDENTITY_VARIABLE] = str(x25519.Identity.generate())
    with pytest.raises(Permanent, match=AGE_IDENTITY_VARIABLE):
        resolve("age:vault.age#token", root=root, environ=environ)
