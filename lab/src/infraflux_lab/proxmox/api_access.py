"""Calls on access: tickets, users, API tokens, the access control list."""

import re
from typing import Any

from infraflux_lab.proxmox.access import secret_hash
from infraflux_lab.proxmox.accounts import NO_ACCESS, Account, AclEntry, ApiToken, UserGroup
from infraflux_lab.proxmox.errors import PveError, bad_parameter, bad_parameters, forbidden
from infraflux_lab.proxmox.http import Call, Routes

routes = Routes()
TOKEN = "/access/users/{userid}/token/{tokenid}"  # noqa: S105 - a path, no secret
# PVE::AccessControl::check_path: paths that may carry an entry.
_ACL_PATH = re.compile(
    r"/|/access|/access/(groups|realm)(/[\w.-]+)?|/nodes(/[\w.-]+)?|/pool(/[\w.-]+){0,3}|/sdn(/[\w.-]+){0,4}"
    r"|/storage(/[\w.-]+)?|/vms(/[1-9]\d{2,})?|/mapping(/(dir|hwrng|pci|usb)(/[\w.-]+)?)?"
)
# Where a path is one's own to give, that is enough to hand out what one has (PVE::RPCEnvironment::check_perm_modify).
_OWNER = {"storage": "Datastore.Allocate", "vms": "VM.Allocate", "pool": "Pool.Allocate"}


@routes("GET", "/access")
async def index(_call: Call) -> Any:
    """What there is below."""
    return [{"subdir": name} for name in ("users", "groups", "roles", "acl", "domains", "ticket", "permissions")]


@routes("POST", "/access/ticket")
async def ticket(call: Call) -> Any:
    """Log in with a password."""
    username, realm = call.need("username"), call.form.get("realm")
    full = f"{username}@{realm}" if realm and "@" not in username else username
    return call.sim.access.login(full, call.need("password"))


@routes("GET", "/access/permissions")
async def permissions(call: Call) -> Any:
    """The caller's own privileges by path, or somebody else's for who may look."""
    who = call.form.get("userid", call.caller.id)
    if who != call.caller.id and not who.startswith(f"{call.caller.id}!"):
        call.require("/access", "Sys.Audit")
    return call.sim.access.overview(who, call.form.get("path"))


def _manages(call: Call, user: str, *privileges: str) -> bool:
    groups = call.sim.access.directory.users[user].groups if user in call.sim.access.directory.users else []
    paths = ["/access/groups", *(f"/access/groups/{group}" for group in groups)]
    return any(call.allowed(path, *privileges) for path in paths)


def _require_manager(call: Call, user: str, *privileges: str) -> None:
    if not _manages(call, user, *privileges):
        raise forbidden("/access/groups", *privileges)


def _account(call: Call) -> Account:
    account = call.sim.access.directory.users.get(call.params["userid"])
    if account is None:
        raise PveError(f"no such user ('{call.params['userid']}')")
    return account


def _account_view(account: Account) -> dict[str, Any]:
    body = account.body()
    body.pop("id")
    shown = {name: value for name, value in body.items() if value or name in ("enable", "expire")}
    return {**shown, "groups": account.groups}


@routes("GET", "/access/users")
async def users(call: Call) -> Any:
    """Users that the caller may see, with their tokens where `full` is set."""
    directory, rows = call.sim.access.directory, []
    for account in directory.users.values():
        if account.id != call.caller.user and not _manages(call, account.id, "User.Modify", "Sys.Audit"):
            continue
        if "enabled" in call.form and account.enable != call.flag("enabled"):
            continue
        row = {"userid": account.id, **_account_view(account), "groups": ",".join(account.groups)}
        if call.flag("full"):
            row["tokens"] = _tokens_of(call, account.id)
        rows.append({**row, "realm-type": account.id.rpartition("@")[2]})
    return rows


@routes("POST", "/access/users")
async def add_user(call: Call) -> Any:
    """Add a user."""
    user = call.need("userid")
    call.require(f"/access/realm/{user.rpartition('@')[2]}", "Realm.AllocateUser")
    _require_manager(call, user, "User.Modify")
    if user in call.sim.access.directory.users:
        raise PveError(f"create user failed: user '{user}' already exists")
    account = Account(id=user)
    _fill_account(call, account)
    call.sim.access.save(account)


def _fill_account(call: Call, account: Account) -> None:
    for name in ("comment", "email", "firstname", "lastname"):
        setattr(account, name, call.form.get(name, getattr(account, name)))
    for name in ("enable", "expire"):
        setattr(account, name, call.number(name, getattr(account, name)))
    if "groups" in call.form:
        unknown = next((name for name in call.names("groups") if name not in call.sim.access.directory.groups), None)
        if unknown:
            raise PveError(f"no such group '{unknown}'")
        kept = account.groups if call.flag("append") else []
        account.groups = sorted({*kept, *call.names("groups")})


@routes("GET", "/access/users/{userid}")
async def user(call: Call) -> Any:
    """One user."""
    _require_manager(call, call.params["userid"], "User.Modify", "Sys.Audit")
    account = _account(call)
    return {**_account_view(account), "tokens": {row.pop("tokenid"): row for row in _tokens_of(call, account.id)}}


@routes("PUT", "/access/users/{userid}")
async def change_user(call: Call) -> Any:
    """Change a user."""
    _require_manager(call, call.params["userid"], "User.Modify")
    account = _account(call)
    _fill_account(call, account)
    call.sim.access.save(account)


@routes("DELETE", "/access/users/{userid}")
async def remove_user(call: Call) -> Any:
    """Remove a user, with its tokens and entries."""
    user_id = call.params["userid"]
    call.require(f"/access/realm/{user_id.rpartition('@')[2]}", "Realm.AllocateUser")
    _require_manager(call, user_id, "User.Modify")
    account, access = _account(call), call.sim.access
    for token in [token for token in access.directory.tokens.values() if token.id.startswith(f"{account.id}!")]:
        _drop_token(call, token)
    drop_entries(call, account.id)
    access.drop(account)


def drop_entries(call: Call, who: str) -> None:
    """Remove what the list says of somebody who is gone."""
    for entry in [entry for entry in call.sim.access.directory.acl.values() if entry.who == who]:
        call.sim.access.drop(entry)


def _drop_token(call: Call, token: ApiToken) -> None:
    drop_entries(call, token.id)
    call.sim.access.drop(token)


def _token_view(token: ApiToken) -> dict[str, Any]:
    comment = {"comment": token.comment} if token.comment else {}
    return {"privsep": token.privsep, "expire": token.expire, **comment}


def _tokens_of(call: Call, user_id: str) -> list[dict[str, Any]]:
    tokens = [token for token in call.sim.access.directory.tokens.values() if token.id.startswith(f"{user_id}!")]
    return [{"tokenid": token.id.partition("!")[2], **_token_view(token)} for token in tokens]


def _require_owner(call: Call) -> None:
    """One's own tokens, with a password; those of others for who manages users."""
    if call.caller.id != call.params["userid"]:
        _require_manager(call, call.params["userid"], "User.Modify")


def _token(call: Call) -> ApiToken:
    _require_owner(call)
    token_id = f"{_account(call).id}!{call.params['tokenid']}"
    token = call.sim.access.directory.tokens.get(token_id)
    if token is None:
        raise PveError(f"no such token '{call.params['tokenid']}' for user '{call.params['userid']}'")
    return token


@routes("GET", "/access/users/{userid}/token")
async def tokens(call: Call) -> Any:
    """Tokens of a user."""
    _require_owner(call)
    return _tokens_of(call, _account(call).id)


@routes("GET", TOKEN)
async def token(call: Call) -> Any:
    """One token, without its value."""
    return _token_view(_token(call))


@routes("POST", TOKEN)
async def add_token(call: Call) -> Any:
    """Make a token; its value is never shown again."""
    _require_owner(call)
    token_id = f"{_account(call).id}!{call.params['tokenid']}"
    if token_id in call.sim.access.directory.tokens:
        raise bad_parameter("tokenid", "Token already exists.")
    value = call.sim.access.new_secret()
    made = ApiToken(
        id=token_id,
        privsep=call.number("privsep", 1),
        expire=call.number("expire", 0),
        comment=call.form.get("comment", ""),
        secret_sha256=secret_hash(value),
    )
    call.sim.access.save(made)
    info = {name: str(shown) if isinstance(shown, int) else shown for name, shown in _token_view(made).items()}
    return {"full-tokenid": token_id, "info": info, "value": value}


@routes("PUT", TOKEN)
async def change_token(call: Call) -> Any:
    """Change what is said of a token; its value stays."""
    found = _token(call)
    for name in ("privsep", "expire"):
        setattr(found, name, call.number(name, getattr(found, name)))
    found.comment = "" if "comment" in call.names("delete") else call.form.get("comment", found.comment)
    call.sim.access.save(found)
    return _token_view(found)


@routes("DELETE", TOKEN)
async def remove_token(call: Call) -> Any:
    """Remove a token."""
    _drop_token(call, _token(call))


def _may_modify(call: Call, path: str) -> bool:
    kind, _, name = path.removeprefix("/").partition("/")
    owner = [_OWNER[kind]] if name and kind in _OWNER else []
    return call.allowed(path, "Permissions.Modify", *owner)


@routes("GET", "/access/acl")
async def acl(call: Call) -> Any:
    """Entries that the caller may see."""
    audit = call.allowed("/access", "Sys.Audit")
    return [
        {
            "path": entry.path,
            "type": entry.type,
            "ugid": entry.who,
            "roleid": entry.role,
            "propagate": entry.propagate,
        }
        for entry in call.sim.access.directory.acl.values()
        if audit or _may_modify(call, entry.path)
    ]


@routes("PUT", "/access/acl")
async def change_acl(call: Call) -> Any:
    """Add entries, or remove them."""
    path = re.sub(r"/+", "/", f"/{call.need('path')}").rstrip("/") or "/"
    if not _may_modify(call, path):
        raise forbidden(path, "Permissions.Modify")
    lists = {"user": call.names("users"), "group": call.names("groups"), "token": call.names("tokens")}
    if not any(lists.values()):
        raise bad_parameters(
            dict.fromkeys(("users", "groups", "tokens"), "either 'users', 'groups' or 'tokens' is required.")
        )
    if not call.flag("delete") and not _ACL_PATH.fullmatch(path):
        raise bad_parameter("path", f"invalid ACL path '{call.need('path')}'")
    entries = [
        AclEntry(path=path, type=kind, who=who, role=role, propagate=call.number("propagate", 1))
        for role in call.names("roles")
        for kind, names in lists.items()
        for who in names
    ]
    for entry in entries:
        _check_entry(call, entry)
    for entry in entries:
        (call.sim.access.drop if call.flag("delete") else call.sim.access.save)(entry)


def _check_entry(call: Call, entry: AclEntry) -> None:
    directory = call.sim.access.directory
    if entry.role not in directory.roles:
        raise PveError(f"role '{entry.role}' does not exist")
    if not call.allowed(entry.path, "Permissions.Modify"):
        own = call.sim.access.privileges(call.caller, entry.path)
        if entry.role == NO_ACCESS or not own.issuperset(directory.roles[entry.role].privileges):
            verb = "remove" if call.flag("delete") else "add"
            text = f"Cannot {verb} role '{entry.role}' - requires 'Permissions.Modify' or superset of privileges."
            raise bad_parameter("role", text)
    kind = {"user": Account, "group": UserGroup, "token": ApiToken}[entry.type]
    if entry.who not in directory.home(kind):
        raise PveError(f"{entry.type} '{entry.who}' does not exist")
