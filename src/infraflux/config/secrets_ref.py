"""Turns a secret reference of the configuration into the secret, as late as possible and never into text that prints.

`env:NAME` reads an environment variable, `file:path` a file (relative to the project root), `age:path#key` one key of
an age-encrypted YAML file, opened with the identity in `INFRAFLUX_AGE_IDENTITY` or `.infraflux/age/identity.txt`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pyrage
from pyrage import x25519
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.paths import ProjectPaths

AGE_IDENTITY_VARIABLE = "INFRAFLUX_AGE_IDENTITY"


@dataclass(frozen=True)
class Secret:
    """A value that shows only where it came from."""

    reference: str
    _value: str = field(repr=False)

    def reveal(self) -> str:
        """The value itself; callers hand it on at once and keep it nowhere."""
        return self._value

    def __str__(self) -> str:
        return f"<secret from {self.reference}>"


def resolve(reference: str, *, root: Path, environ: Mapping[str, str] | None = None) -> Secret:
    """The secret behind a reference, stripped of surrounding white space.

    Raises Permanent naming what is missing (the variable, the file, the key), never a value.
    """
    environ = os.environ if environ is None else environ
    kind, _, rest = reference.partition(":")
    readers = {"env": _from_environment, "file": _from_file, "age": _from_age}
    if kind not in readers:
        raise _missing(reference, "is no reference", "use env:NAME, file:path or age:path#key")
    value = readers[kind](reference, rest, root, environ).strip()
    if not value:
        raise _missing(reference, "is empty", "put the secret there")
    return Secret(reference, value)


def _from_environment(reference: str, name: str, _root: Path, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise _missing(reference, f"environment variable {name} is not set", f"export {name}")
    return environ[name]


def _from_file(reference: str, name: str, root: Path, _environ: Mapping[str, str]) -> str:
    path = root / Path(name).expanduser()
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise _missing(reference, f"{path} cannot be read ({why})", "create it with mode 0600") from None


def _from_age(reference: str, rest: str, root: Path, environ: Mapping[str, str]) -> str:
    name, _, key = rest.partition("#")
    try:
        plain = pyrage.decrypt((root / name).read_bytes(), _identities(root, environ))
    except OSError as error:
        raise _missing(reference, f"{root / name} cannot be read ({error.strerror})", "restore the file") from None
    except pyrage.DecryptError:
        raise _missing(reference, "no identity at hand opens it", f"set {AGE_IDENTITY_VARIABLE}") from None
    try:
        document: Any = YAML(typ="safe", pure=True).load(BytesIO(plain))
    except (YAMLError, UnicodeDecodeError):  # its message would quote the decrypted text
        raise _missing(reference, "the decrypted file is no YAML", "encrypt a map of names and secrets") from None
    if not isinstance(document, dict) or key not in document:
        raise _missing(reference, f"the decrypted file has no key {key}", "add the key and encrypt it again")
    if not isinstance(document[key], str):
        raise _missing(reference, f"{key} is no text", "write it in quotes and encrypt it again")
    return str(document[key])


def _identities(root: Path, environ: Mapping[str, str]) -> list[x25519.Identity]:
    text = environ.get(AGE_IDENTITY_VARIABLE, "")
    path = ProjectPaths(root).state / "age" / "identity.txt"
    if not text and path.exists():
        text = path.read_text()
    keys = [line.strip() for line in text.splitlines() if line.strip().startswith("AGE-SECRET-KEY-")]
    try:
        return [x25519.Identity.from_str(key) for key in keys]
    except pyrage.IdentityError:
        raise _missing(AGE_IDENTITY_VARIABLE, "the age identity is damaged", "restore it from its backup") from None


def _missing(reference: str, what: str, next_step: str) -> Permanent:
    return Permanent(f"secret {reference}: {what}", stage="secrets", error_class=ErrorClass.CONFIG, next_step=next_step)
