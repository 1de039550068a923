"""The `infraflux` command: the table of subjects, and the one place where an error becomes a message."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from infraflux.core.errors import InfrafluxError

USER_MISTAKE = 1
INTERRUPTED = 130  # 128 + SIGINT, what a shell expects after Ctrl-C

# One line per subject: name -> ("module:attribute", help). The attribute is a typer.Typer or a plain function. Only the
# subject on the command line is imported, so that `infraflux --help` pays for neither Prefect nor the lab.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("infraflux.cli.init:init", "Write an environment and a cluster that fit your Proxmox"),
    "doctor": ("infraflux.cli.doctor:doctor", "Say what this machine has, what is missing and what to do"),
    "config": ("infraflux.cli.config:app", "Check, show, explain and compare the configuration"),
    "env": ("infraflux.cli.env:app", "Environments of this repository"),
    "render": ("infraflux.cli.render:render", "Write a cluster's Terraform variables and Talos patches"),
    "tools": ("infraflux.cli.tools:app", "Install and list the pinned outside programs"),
    "plan": ("infraflux.cli.plan:plan", "Show everything that a deploy of a cluster would do."),
    "deploy": ("infraflux.cli.deploy:deploy", "Bring a cluster to what its configuration says."),
    "destroy": ("infraflux.cli.deploy:destroy", "Remove a cluster and all of ours that belongs to it."),
    "approve": ("infraflux.cli.deploy:approve", "Approve or reject the plan of a run that waits for it."),
    "up": ("infraflux.cli.up:up", "Set up and start everything; with the lab, deploy its first cluster."),
    "down": ("infraflux.cli.up:down", "Stop everything that `up` started."),
    "service": ("infraflux.cli.service:app", "The Prefect server and worker in the background."),
    "lab": ("infraflux.cli.lab:app", "The local lab: simulated Proxmox and Talos, real Kubernetes."),
    "secrets": ("infraflux.cli.secrets:app", "The encrypted Talos secrets bundle of a cluster"),
    "platform": ("infraflux.cli.platform:app", "Cilium, Argo CD and the handoff to Git"),
    "proxmox": ("infraflux.cli.proxmox:app", "What the Proxmox of an environment has to allow"),
    "machines": ("infraflux.cli.machines:app", "Plan, apply and destroy the virtual machines of one cluster"),
    "cluster": ("infraflux.cli.cluster:app", "Bootstrap, health and credentials of one cluster"),
    "node": ("infraflux.cli.node:app", "List nodes; restart, drain, replace, reset or remove one"),
    "host": ("infraflux.cli.host:app", "Empty a Proxmox host for its maintenance, and bring its nodes back"),
    "drift": ("infraflux.cli.drift:app", "What is not as declared, over all layers"),
    "release": ("infraflux.cli.release:app", "Immutable bundles of what an environment runs"),
    "promotion": ("infraflux.cli.promotion:app", "Releases on their way through the environments"),
    "status": ("infraflux.cli.status:status", "The fleet at a glance"),
}


def app_for(argv: Sequence[str]) -> typer.Typer:
    """The whole command tree; of the subjects only the one that `argv` names is imported."""
    app = typer.Typer(
        add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich"
    )
    app.callback()(root)
    asked = next((word for word in argv if not word.startswith("-")), None)
    for name, (path, summary) in COMMANDS.items():
        if name == asked:
            _mount(app, name=name, target=_load(path), summary=summary)
        else:
            app.command(name, help=summary)(_not_imported)
    return app


def _mount(app: typer.Typer, *, name: str, target: typer.Typer | Callable[..., Any], summary: str) -> None:
    if isinstance(target, typer.Typer):
        app.add_typer(target, name=name, help=summary)
    else:
        from infraflux.core.output import TakesJson  # noqa: PLC0415 - `infraflux --help` needs none of it

        app.command(name, help=target.__doc__ or summary, cls=TakesJson)(target)


def _load(path: str) -> Any:
    module, _, attribute = path.partition(":")
    return getattr(import_module(module), attribute)


def _not_imported() -> None:
    """Stands for a subject in `--help`; `app_for` mounts the real one as soon as it is named."""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"infraflux {version('infraflux')}")
        raise typer.Exit


def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Talos Kubernetes on Proxmox VE from YAML in Git."""


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code: 1 for an InfrafluxError, 2 for bad usage, 130 for Ctrl-C."""
    try:
        app_for(argv)(args=list(argv), prog_name="infraflux")
    except InfrafluxError as error:
        report(str(error))
        return USER_MISTAKE
    except KeyboardInterrupt:
        report("interrupted")
        return INTERRUPTED
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else 0
    return 0


def report(message: str) -> None:
    """Print one error on stderr, as it is: a message may hold brackets that are no markup."""
    line = Text.assemble(("error: ", "bold red"), message)
    Console(stderr=True, highlight=False).print(line, soft_wrap=True)


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
