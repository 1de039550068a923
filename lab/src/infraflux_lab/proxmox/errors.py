"""Errors as Proxmox sends them: the text is the HTTP reason phrase and `message` in the body."""

from collections.abc import Mapping


class PveError(Exception):
    """An answer other than success; `errors` names parameters (status 400)."""

    def __init__(self, text: str, *, status: int = 500, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.status = status
        self.errors = errors


class TaskFailed(Exception):
    """A worker died; its text becomes the task's exit status."""


def bad_parameters(errors: Mapping[str, str]) -> PveError:
    """400 with a text per parameter."""
    return PveError("Parameter verification failed.", status=400, errors=errors)


def bad_parameter(name: str, text: str) -> PveError:
    """400 for one parameter."""
    return bad_parameters({name: text})


def forbidden(path: str, *privileges: str) -> PveError:
    """403 as the access control of Proxmox words it."""
    return PveError(f"Permission check failed ({path}, {'|'.join(privileges)})", status=403)


def no_such_guest(node: str, vm_id: int | str) -> PveError:
    """What clients recognise as 'gone'."""
    return PveError(f"Configuration file 'nodes/{node}/qemu-server/{vm_id}.conf' does not exist")
