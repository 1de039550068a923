"""The commands that make an API token with exactly the rights somebody needs, for a root shell on one host. Pure.

A token with separated privileges has what both it and its user have (pve-admin-guide, Permission Management), so that
every right is given to both.
"""

from collections.abc import Iterator, Mapping

LOOK = {"/": frozenset({"Sys.Audit", "Datastore.Audit", "SDN.Audit", "VM.Audit", "Pool.Audit"})}
"""What is enough to look around."""

ROLES = {
    "/": "InfrafluxSite",
    "/pool": "InfrafluxMachines",
    "/storage": "InfrafluxStorage",
    "/nodes": "InfrafluxHost",
    "/sdn": "InfrafluxNetwork",
    "/mapping": "InfrafluxDevice",
}
"""By the first part of the path."""


def token_commands(token_id: str, needed: Mapping[str, frozenset[str]], *, suffix: str, new: bool = True) -> list[str]:
    """Roles, user, token and access control list, in this order; without the user and token where they are there.

    `suffix` ends the names of the roles: what one environment needs is no other's.
    """
    user, _, name = token_id.partition("!")
    roles = {privileges: f"{role}-{suffix}" for privileges, role in _roles(needed).items()}
    made = [f'pveum role add {role} -privs "{" ".join(sorted(privileges))}"' for privileges, role in roles.items()]
    account = [f"pveum user add {user}", f"pveum user token add {user} {name} --privsep 1"] if new else []
    return [*made, *account, *_entries(user, token_id, needed, roles)]


def _roles(needed: Mapping[str, frozenset[str]]) -> dict[frozenset[str], str]:
    """A role for each set of privileges, named by what it is for."""
    roles: dict[frozenset[str], str] = {}
    for path, privileges in sorted(needed.items()):
        name = ROLES["/" + path.split("/")[1]]
        if privileges not in roles:
            count = sum(role.startswith(name) for role in roles.values())
            roles[privileges] = f"{name}{count + 1}" if count else name
    return roles


def _entries(
    user: str, token_id: str, needed: Mapping[str, frozenset[str]], roles: Mapping[frozenset[str], str]
) -> Iterator[str]:
    for path, privileges in sorted(needed.items()):
        for who in (f"-user {user}", f"-token '{token_id}'"):
            yield f"pveum acl modify {path} {who} -role {roles[privileges]}"
