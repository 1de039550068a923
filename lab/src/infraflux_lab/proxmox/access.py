"""Who calls and what they may do: tickets, API tokens, privileges on paths."""

import hashlib
import hmac
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infraflux.core.files import write_whole
from infraflux_lab.proxmox.accounts import KINDS, ROOT, directory_of, key_of
from infraflux_lab.proxmox.cluster import Cluster
from infraflux_lab.proxmox.errors import PveError, forbidden
from infraflux_lab.proxmox.model import Record
from infraflux_lab.spec import EnvironmentSpec
from infraflux_lab.state import LabPaths

TICKET_LIFETIME_S = 7200
TOKEN_SCHEME = "PVEAPIToken="  # noqa: S105 - the scheme's name, no secret
TOP_PATHS = ("/", "/access", "/mapping", "/nodes", "/pool", "/sdn", "/storage", "/vms")
UNAUTHORIZED = 401


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Somebody who proved who they are; `id` is as in UPIDs, token name included."""

    id: str

    @property
    def user(self) -> str:
        return self.id.partition("!")[0]

    @property
    def token(self) -> str | None:
        return self.id.partition("!")[2] or None

    @property
    def is_root(self) -> bool:
        """Root with a password; no token is root, whatever it may do."""
        return self.id == ROOT


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
        self.directory = directory_of(cluster.spec)
        # What lab.yaml says is there again at every start; what came over the API is kept beside it.
        for kind in KINDS:
            for record in cluster.load(f"access-{kind.__name__}", kind).values():
                self.directory.add(record)

    def save(self, record: Record) -> None:
        """Keep a record of the directory."""
        self.directory.add(record)
        self._cluster.put(f"access-{type(record).__name__}", key_of(record), record)

    def drop(self, record: Record) -> None:
        """Forget a record of the directory."""
        self.directory.home(type(record)).pop(key_of(record), None)
        self._cluster.drop(f"access-{type(record).__name__}", key_of(record))

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
        return Caller(id=username)

    def _by_token(self, text: str) -> Caller:
        token_id, _, secret = text.partition("=")
        user, _, name = token_id.partition("!")
        token, account = self.directory.tokens.get(token_id), self.directory.users.get(user)
        if token is None or account is None:
            raise PveError(f"no such token '{name}' for user '{user}'", status=UNAUTHORIZED)
        now = time.time()
        if not account.enable:
            raise PveError(f"user '{user}' is disabled", status=UNAUTHORIZED)
        if (account.expire and account.expire < now) or (token.expire and token.expire < now):
            raise PveError(f"token '{name}' access expired", status=UNAUTHORIZED)
        expected = token.secret_sha256 or secret_hash(self._secrets.get(token_id, ""))
        if not hmac.compare_digest(expected, secret_hash(secret)):
            raise PveError("invalid token value!", status=UNAUTHORIZED)
        return Caller(id=token_id)

    def new_secret(self) -> str:
        """The value of a new token, shown once."""
        return str(uuid.uuid4())

    def privileges(self, caller: Caller, path: str) -> frozenset[str]:
        """Everything the caller may do on a path."""
        return self.directory.privileges(caller.id, path, pools=self._pools(path))

    def allowed(self, caller: Caller, path: str, *privileges: str) -> bool:
        """Whether the caller has any of the privileges on the path."""
        return caller.is_root or bool(self.privileges(caller, path) & set(privileges))

    def require(self, caller: Caller, path: str, *privileges: str) -> None:
        """403 unless the caller has any of the privileges on the path."""
        if not self.allowed(caller, path, *privileges):
            raise forbidden(path, *privileges)

    def overview(self, who: str, path: str | None = None) -> dict[str, dict[str, int]]:
        """Answer of `access/permissions`: path to privileges."""
        paths = [path] if path else sorted({*TOP_PATHS, *(entry.path for entry in self.directory.acl.values())})
        found = {
            each: dict.fromkeys(sorted(self.directory.privileges(who, each, pools=self._pools(each))), 1)
            for each in paths
        }
        return {each: privileges for each, privileges in found.items() if privileges}

    def _pools(self, path: str) -> list[str]:
        """Pools that a guest or storage is in."""
        kind, _, name = path.removeprefix("/").partition("/")
        if kind == "vms" and name.isdigit():
            pool = self._cluster.pool_of(int(name))
            return [pool] if pool else []
        if kind == "storage" and name:
            return [pool.id for pool in self._cluster.pools.values() if name in pool.storages]
        return []


def secret_hash(secret: str) -> str:
    """What is kept of a token's value."""
    return hashlib.sha256(secret.encode()).hexdigest()
