"""The secrets of the service: made once, 0600, kept until removed by hand."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet

from infraflux.service.files import read_json, write_json


@dataclass(frozen=True, repr=False)
class Credentials:
    """Prefect knows one shared user; the password opens the UI and the API."""

    user: str
    password: str
    encryption_key: str
    """Fernet key of the block secrets in the database; pinned, else it would lie in the same database."""

    @property
    def auth_string(self) -> str:
        return f"{self.user}:{self.password}"

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r}, password=***)"


def ensure_credentials(path: Path) -> Credentials:
    """Read the file, or make it."""
    found = read_json(path)
    if isinstance(found, dict):
        path.chmod(0o600)
        return Credentials(**found)
    made = Credentials("admin", secrets.token_urlsafe(24), Fernet.generate_key().decode())
    write_json(path, {"user": made.user, "password": made.password, "encryption_key": made.encryption_key})
    return made


def load_credentials(path: Path) -> Credentials | None:
    """Read the file; None where the service was never set up."""
    found = read_json(path)
    return Credentials(**found) if isinstance(found, dict) else None
