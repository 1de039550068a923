"""Users, groups, roles, API tokens and the access control list, and what follows from them.

Proxmox VE administration guide, chapter User Management: an entry on a deeper path replaces what comes from above; an
entry of a user replaces those of its groups; NoAccess cancels all others; a guest or storage of a pool inherits the
pool's; a token with separated privileges has what both it and its user have.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infraflux_lab.proxmox.facts.formats import PRIVILEGES
from infraflux_lab.proxmox.model import Record
from infraflux_lab.spec import EnvironmentSpec, TokenSpec

ROOT = "root@pam"
NO_ACCESS = "NoAccess"
ADMINISTRATOR = "Administrator"


@dataclass(kw_only=True)
class Account(Record):
    """A user."""

    id: str
    enable: int = 1
    expire: int = 0
    comment: str = ""
    email: str = ""
    firstname: str = ""
    lastname: str = ""
    groups: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class ApiToken(Record):
    """An API token; `id` is `user@realm!name`."""

    id: str
    privsep: int = 1
    expire: int = 0
    comment: str = ""
    secret_sha256: str = ""


@dataclass(kw_only=True)
class UserGroup(Record):
    """A group of users."""

    id: str
    comment: str = ""


@dataclass(kw_only=True)
class Role(Record):
    """A named set of privileges."""

    id: str
    privileges: list[str] = field(default_factory=list)
    special: bool = False


@dataclass(kw_only=True)
class AclEntry(Record):
    """A role of a user, group or token on a path."""

    path: str
    type: str
    who: str
    role: str
    propagate: int = 1

    @property
    def key(self) -> str:
        return f"{self.path} {self.type} {self.who} {self.role}"


_VM_USER = (
    "VM.Config.CDROM VM.Config.Cloudinit VM.Console VM.Backup VM.GuestAgent.FileRead VM.GuestAgent.FileSystemMgmt "
    "VM.GuestAgent.FileWrite VM.PowerMgmt VM.Audit VM.GuestAgent.Audit"
)
_SPECIAL: Mapping[str, str] = {
    NO_ACCESS: "",
    "PVEAuditor": "VM.Audit VM.GuestAgent.Audit Sys.Audit Datastore.Audit SDN.Audit Pool.Audit Mapping.Audit",
    "PVEDatastoreAdmin": "Datastore.Allocate Datastore.AllocateSpace Datastore.AllocateTemplate Datastore.Audit",
    "PVEDatastoreUser": "Datastore.AllocateSpace Datastore.Audit",
    "PVEMappingAdmin": "Mapping.Audit Mapping.Modify Mapping.Use",
    "PVEMappingUser": "Mapping.Audit Mapping.Use",
    "PVEPoolAdmin": "Pool.Allocate Pool.Audit",
    "PVEPoolUser": "Pool.Audit",
    "PVESDNAdmin": "SDN.Allocate SDN.Audit SDN.Use",
    "PVESDNUser": "SDN.Audit SDN.Use",
    "PVESysAdmin": "Sys.Audit Sys.Console Sys.Syslog",
    "PVETemplateUser": "VM.Audit VM.Clone",
    "PVEUserAdmin": "Group.Allocate Realm.AllocateUser User.Modify",
    "PVEVMAdmin": " ".join(name for name in sorted(PRIVILEGES) if name.startswith("VM.")),
    "PVEVMUser": _VM_USER,
}
_NOT_OF_PVE_ADMIN = frozenset({
    "Mapping.Modify", "Permissions.Modify", "Realm.Allocate", "Sys.AccessNetwork", "Sys.Incoming", "Sys.Modify",
    "Sys.PowerMgmt",
})  # fmt: skip


def special_roles() -> dict[str, Role]:
    """Roles that every Proxmox has."""
    found = {name: Role(id=name, privileges=names.split(), special=True) for name, names in _SPECIAL.items()}
    found[ADMINISTRATOR] = Role(id=ADMINISTRATOR, privileges=sorted(PRIVILEGES), special=True)
    found["PVEAdmin"] = Role(id="PVEAdmin", privileges=sorted(PRIVILEGES - _NOT_OF_PVE_ADMIN), special=True)
    return found


KINDS: tuple[type[Record], ...] = (Account, UserGroup, Role, ApiToken, AclEntry)


def key_of(record: Record) -> str:
    """What a record is found by."""
    return record.key if isinstance(record, AclEntry) else str(record.body()["id"])


@dataclass(kw_only=True)
class Directory:
    """Everything that is known of access, without what a request brings."""

    users: dict[str, Account] = field(default_factory=dict)
    groups: dict[str, UserGroup] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=special_roles)
    tokens: dict[str, ApiToken] = field(default_factory=dict)
    acl: dict[str, AclEntry] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Take a record in."""
        self.home(type(record))[key_of(record)] = record

    def home(self, kind: type[Record]) -> dict[str, Any]:
        """Where records of a class are kept."""
        homes: dict[type[Record], dict[str, Any]] = {
            Account: self.users,
            UserGroup: self.groups,
            Role: self.roles,
            ApiToken: self.tokens,
            AclEntry: self.acl,
        }
        return homes[kind]

    def roles_on(self, who: str, path: str) -> dict[str, int]:
        """Roles of a user or token on a path, with their propagation."""
        roles: dict[str, int] = {}
        for step in _steps(path):
            own = self._granted(who, step, final=step == path)
            if own is not None:
                roles = own
        return {NO_ACCESS: roles[NO_ACCESS]} if NO_ACCESS in roles else roles

    def _granted(self, who: str, step: str, *, final: bool) -> dict[str, int] | None:
        kind = "token" if "!" in who else "user"
        entries = [entry for entry in self.acl.values() if entry.path == step and (final or entry.propagate)]
        own = {entry.role: entry.propagate for entry in entries if entry.type == kind and entry.who == who}
        if own or kind == "token":
            return own or None
        groups = self.users[who].groups if who in self.users else []
        return {
            entry.role: entry.propagate for entry in entries if entry.type == "group" and entry.who in groups
        } or None

    def privileges(self, who: str, path: str, *, pools: Iterable[str] = ()) -> frozenset[str]:
        """What a user or token may do on a path that belongs to these pools."""
        user = who.partition("!")[0]
        token = self.tokens.get(who)
        if user == ROOT and (token is None or not token.privsep):
            return PRIVILEGES
        if token is None or not token.privsep:
            return self._own(user, path, pools)
        if user == ROOT:
            return self._own(who, path, pools)
        return self._own(who, path, pools) & self._own(user, path, pools)

    def _own(self, who: str, path: str, pools: Iterable[str]) -> frozenset[str]:
        roles = set(self.roles_on(who, path))
        if NO_ACCESS in roles:
            return frozenset()
        of_pools = {role for pool in pools for role in self.roles_on(who, f"/pool/{pool}")}
        if NO_ACCESS in of_pools:
            return frozenset()
        names = (self.roles[role].privileges for role in roles | of_pools if role in self.roles)
        return frozenset(name for privileges in names for name in privileges)


def _steps(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part]
    return ["/", *("/" + "/".join(parts[: number + 1]) for number in range(len(parts)))]


def directory_of(spec: EnvironmentSpec) -> Directory:
    """The accounts that `config/lab.yaml` describes."""
    directory = Directory()
    directory.add(Account(id=ROOT))
    for token in spec.tokens:
        directory.add(Account(id=token.user))
        directory.add(ApiToken(id=token.id, privsep=int(token.privsep)))
        _grant(directory, "token", token.id, token.privileges)
    for user in dict.fromkeys(token.user for token in spec.tokens):
        _grant(directory, "user", user, _of_user([token for token in spec.tokens if token.user == user]))
    return directory


def _of_user(tokens: Sequence[TokenSpec]) -> Mapping[str, Iterable[str]]:
    """What is said of the user; else enough to limit none of its tokens."""
    said = next((token.user_privileges for token in tokens if token.user_privileges is not None), None)
    return (
        {"/": {name for token in tokens for names in token.privileges.values() for name in names}}
        if said is None
        else said
    )


def _grant(directory: Directory, kind: str, who: str, privileges: Mapping[str, Iterable[str]]) -> None:
    for path, names in privileges.items():
        role = f"Lab-{kind}-{who.replace('@', '-').replace('!', '-')}-{len(directory.acl)}"
        directory.add(Role(id=role, privileges=sorted(names)))
        directory.add(AclEntry(path=path, type=kind, who=who, role=role))
