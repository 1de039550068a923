"""Show an apply: a spinner per object on a terminal, one line per finished object elsewhere."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from infraflux.adapters.terraform.events import Event, EventKind


class MachinesProgress:
    """Takes Terraform's events; use as a context."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
        )
        self._running: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, event: Event) -> None:
        """Move what the event is about."""
        if event.kind is EventKind.STARTED:
            self._running[event.address] = self._bars.add_task(f"{event.action} {short(event.address)}", total=None)
        elif event.kind in (EventKind.COMPLETED, EventKind.ERRORED):
            if event.address in self._running:
                self._bars.remove_task(self._running.pop(event.address))
            mark = "[green]done[/green]" if event.kind is EventKind.COMPLETED else "[red]failed[/red]"
            self._console.print(f"{mark} {event.action} {short(event.address)} [dim]{event.elapsed_s:.0f} s[/dim]")


def short(address: str) -> str:
    """What a person recognises: `proxmox_haresource.node["dev-1-cp-1"]` -> `haresource dev-1-cp-1`."""
    head, _, key = address.partition('["')
    name = key.split('"]')[0]
    kind = next((part for part in reversed(address.split(".")) if part.startswith("proxmox_")), head)
    kind = kind.removeprefix("proxmox_virtual_environment_").removeprefix("proxmox_").partition("[")[0]
    return f"{kind} {name}".strip()
