"""Who calls and what they may do: tickets, API tokens, privileges on paths."""

import hmac
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infraflux.core.files import write_whole
from infraflux_lab.proxmox.cluster import Cluster
from infraflux_lab.proxmox.errors import PveError, forbidden
from infraflux_lab.spec import EnvironmentSpec
from infraflux_lab.state import LabPaths

ROOT = "root@pam"
TICKET_LIFETIME_S = 7200
TOKEN_SCHEME = "PVEAPIToken="  # noqa: S105 - the scheme's name, no secret
TOP_PATHS = ("/", "/access", "/nodes", "/pool", "/sdn", "/storage", "/vms")
UNAUTHORIZED = 401


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Somebody who proved who they are; `id` is as in UPIDs, token name included."""

    id: str
    privileges: Mapping[str, frozenset[str]]
    all_powerful: bool = False

    @property
    def user(self) -> str:
        return self.id.partition("!")[0]

    @property
    def token(self) -> str | None:
        return self.id.partition("!")[2] or None


def secret_files(paths: LabPaths, environment: str, spec: EnvironmentSpec) -> dict[str, Path]:
    """Files that hold the secret of each token and of root: the secret alone, one line."""
    names = {token.id: token.id.partition("!")[2] for token in spec.tokens}
    files = {token: paths.credentials / f"{name}.token" for token, name in names.items()}
    return {**files, ROOT: paths.credentials / f"{environment}.root-password"}


def ensure_secrets(paths: LabPaths, environment: str, spec: EnvironmentSpec) -> dict[str, str]:
    """Secrets by token id or user, made on first use (files 0600)."""
    found = {}
    for owner, path in secret_files(paths, environment, spec).items():
        if not path.exists():
            write_whole(path, f"{uuid.uuid4()}\n".encode())
        found[owner] = path.read_text().strip()
    return found


class Access:
    """Authentication and permission checks of a cluster."""

    def __init__(self, cluster: Cluster, known_secrets: Mapping[str, str]) -> None:
        self._cluster, self._secrets = cluster, known_secrets
        self._tickets: dict[str, tuple[str, str, float]] = {}
        self._tokens = {
            token.id: {path: frozenset(names) for path, names in token.privileges.items()}
            for token in cluster.spec.tokens
        }

    def login(self, username: str, password: str) -> dict[str, object]:
        """A ticket and its CSRF token, or 401."""
        expected = self._secrets.get(username)
        if username != ROOT or expected is None or not hmac.compare_digest(expected, password):
            raise PveError("authentication failure", status=UNAUTHORIZED)
        stamp = f"{int(time.time()):08X}"
        ticket, csrf = f"PVE:{username}:{stamp}::{secrets.token_urlsafe(48)}", f"{stamp}:{secrets.token_urlsafe(32)}"
        self._tickets[ticket] = (username, csrf, time.time() + TICKET_LIFETIME_S)
        return {"username": username, "ticket": ticket, "CSRFPreventionToken": csrf, "clustername": self._cluster.name}

    def authenticate(self, headers: Mapping[str, str], cookie: str | None, *, write: bool) -> Caller:
        """Whoever the request's token or ticket belongs to, or 401."""
        header = headers.get("Authorization", "")
        if header.startswith(TOKEN_SCHEME):
            return self._by_token(header.removeprefix(TOKEN_SCHEME))
        if not cookie:
            raise PveError("No ticket", status=UNAUTHORIZED)
        username, csrf, expires = self._tickets.get(cookie, ("", "", 0.0))
        if time.time() > expires:
            raise PveError("permission denied - invalid PVE ticket", status=UNAUTHORIZED)
        if write and not hmac.compare_digest(headers.get("CSRFPreventionToken", ""), csrf):
            raise PveError("Permission denied - invalid csrf token", status=UNAUTHORIZED)
        return Caller(id=username, privileges={}, all_powerful=True)

    def _by_token(self, text: str) -> Caller:
        token_id, _, secret = text.partition("=")
        user, _, name = token_id.partition("!")
        if token_id not in self._tokens:
            raise PveError(f"no such token '{name}' for user '{user}'", status=UNAUTHORIZED)
        if not hmac.compare_digest(self._secrets[token_id], secret):
            raise PveError("invalid token value!", status=UNAUTHORIZED)
        return Caller(id=token_id, privileges=self._tokens[token_id])

    def privileges(self, caller: Caller, path: str) -> frozenset[str]:
        """Everything the caller may do on a path: what is granted there or anywhere above."""
        names: frozenset[str] = frozenset()
        for granted_on, granted in caller.privileges.items():
            if any(_below(candidate, granted_on) for candidate in self._paths(path)):
                names |= granted
        return names

    def allowed(self, caller: Caller, path: str, *privileges: str) -> bool:
        """Whether the caller has any of the privileges on the path."""
        return caller.all_powerful or bool(self.privileges(caller, path) & set(privileges))

    def require(self, caller: Caller, path: str, *privileges: str) -> None:
        """403 unless the caller has any of the privileges on the path."""
        if not self.allowed(caller, path, *privileges):
            raise forbidden(path, *privileges)

    def overview(self, caller: Caller, path: str | None = None) -> dict[str, dict[str, int]]:
        """Answer of `access/permissions`: path to privileges."""
        paths = [path] if path else sorted({*TOP_PATHS, *caller.privileges})
        found = {
            each: dict.fromkeys(sorted(self._all if caller.all_powerful else self.privileges(caller, each)), 1)
            for each in paths
        }
        return {each: privileges for each, privileges in found.items() if privileges}

    @property
    def _all(self) -> frozenset[str]:
        granted = (names for token in self._tokens.values() for names in token.values())
        return frozenset({"Permissions.Modify", "Sys.PowerMgmt", "User.Modify"}.union(*granted))

    def _paths(self, path: str) -> list[str]:
        """The path, and for a guest its pool's."""
        kind, _, number = path.removeprefix("/").partition("/")
        if kind == "vms" and number.isdigit():
            pool = self._cluster.pool_of(int(number))
            return [path, f"/pool/{pool}"] if pool else [path]
        return [path]


def _below(path: str, ancestor: str) -> bool:
    return ancestor in ("/", path) or path.startswith(f"{ancestor}/")
