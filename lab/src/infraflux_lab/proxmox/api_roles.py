"""Calls on roles and groups."""

from typing import Any

from infraflux_lab.proxmox.accounts import ROOT, Role, UserGroup
from infraflux_lab.proxmox.api_access import drop_entries
from infraflux_lab.proxmox.errors import PveError
from infraflux_lab.proxmox.http import Call, Routes

routes = Routes()


@routes("GET", "/access/roles")
async def roles(call: Call) -> Any:
    """All roles."""
    return [
        {"roleid": role.id, "privs": ",".join(role.privileges), "special": int(role.special)}
        for role in call.sim.access.directory.roles.values()
    ]


def _role(call: Call) -> Role:
    role = call.sim.access.directory.roles.get(call.params["roleid"])
    if role is None:
        raise PveError(f"role '{call.params['roleid']}' does not exist")
    return role


@routes("GET", "/access/roles/{roleid}")
async def role(call: Call) -> Any:
    """Privileges of one role."""
    return dict.fromkeys(_role(call).privileges, 1)


@routes("POST", "/access/roles")
async def add_role(call: Call) -> Any:
    """Add a role."""
    call.require("/access", "Sys.Modify")
    name = call.need("roleid")
    if name in call.sim.access.directory.roles:
        raise PveError(f"create role failed: role '{name}' already exists")
    call.sim.access.save(Role(id=name, privileges=sorted(set(call.names("privs")))))


@routes("PUT", "/access/roles/{roleid}")
async def change_role(call: Call) -> Any:
    """Change the privileges of a role."""
    call.require("/access", "Sys.Modify")
    found = _own_role(call, "modified")
    kept = found.privileges if call.flag("append") else []
    found.privileges = sorted({*kept, *call.names("privs")})
    call.sim.access.save(found)


@routes("DELETE", "/access/roles/{roleid}")
async def remove_role(call: Call) -> Any:
    """Remove a role."""
    call.require("/access", "Sys.Modify")
    call.sim.access.drop(_own_role(call, "deleted"))


def _own_role(call: Call, what: str) -> Role:
    found = _role(call)
    if found.special:
        raise PveError(f"auto-generated role '{found.id}' cannot be {what}")
    return found


def _group(call: Call) -> UserGroup:
    group = call.sim.access.directory.groups.get(call.params["groupid"])
    if group is None:
        raise PveError(f"group '{call.params['groupid']}' does not exist")
    return group


def _members(call: Call, group: str) -> list[str]:
    return sorted(account.id for account in call.sim.access.directory.users.values() if group in account.groups)


@routes("GET", "/access/groups")
async def groups(call: Call) -> Any:
    """Groups that the caller may see."""
    privileges = ("User.Modify", "Sys.Audit", "Group.Allocate")
    return [
        {"groupid": group.id, "users": ",".join(_members(call, group.id)), "comment": group.comment}
        for group in call.sim.access.directory.groups.values()
        if call.allowed("/access/groups", *privileges) or call.allowed(f"/access/groups/{group.id}", *privileges)
    ]


@routes("POST", "/access/groups")
async def add_group(call: Call) -> Any:
    """Add a group."""
    call.require("/access/groups", "Group.Allocate")
    name = call.need("groupid")
    if name in call.sim.access.directory.groups:
        raise PveError(f"create group failed: group '{name}' already exists")
    call.sim.access.save(UserGroup(id=name, comment=call.form.get("comment", "")))


@routes("GET", "/access/groups/{groupid}")
async def group(call: Call) -> Any:
    """One group."""
    call.require("/access/groups", "Sys.Audit", "Group.Allocate")
    found = _group(call)
    return {"comment": found.comment, "members": _members(call, found.id)}


@routes("PUT", "/access/groups/{groupid}")
async def change_group(call: Call) -> Any:
    """Change the comment."""
    call.require("/access/groups", "Group.Allocate")
    found = _group(call)
    found.comment = call.form.get("comment", found.comment)
    call.sim.access.save(found)


@routes("DELETE", "/access/groups/{groupid}")
async def remove_group(call: Call) -> Any:
    """Remove a group; its members stay."""
    call.require("/access/groups", "Group.Allocate")
    found, access = _group(call), call.sim.access
    for account in access.directory.users.values():
        if found.id in account.groups and account.id != ROOT:
            account.groups.remove(found.id)
            access.save(account)
    drop_entries(call, found.id)
    access.drop(found)
