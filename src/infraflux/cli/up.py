"""`infraflux up` and `down`: the whole product on one machine, in one command."""

import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer
from rich.console import Console

from infraflux.cli import tools
from infraflux.cli.deploy import finish, follow_run
from infraflux.cli.project import print_simulation_notice
from infraflux.cli.service import Database, Port, configure, open_service
from infraflux.config.environments import Environment, known_environments
from infraflux.config.load import load_cluster
from infraflux.core.paths import ProjectPaths
from infraflux.service.lifecycle import Service
from infraflux.service.trigger import start_run

Target = Annotated[
    str, typer.Option("--cluster", help="Which cluster to deploy, as ENV/NAME; a lab's first by default.")
]
NoDeploy = Annotated[bool, typer.Option("--no-deploy", help="Start everything, deploy nothing.")]


def up(cluster: Target = "", no_deploy: NoDeploy = False, port: Port = None, database: Database = None) -> None:
    """Install the programs and start the service; where environments are the lab's, start it and deploy the first."""
    console = Console(highlight=False)
    began = time.monotonic()
    service = open_service(port, database)
    environments = known_environments(service.paths.project)
    simulated = [one for one in environments if one.simulated]
    # On somebody's own hardware nothing happens that nobody asked for.
    target = cluster or next((key for one in simulated for key in one.keys), "")
    spec = load_cluster(service.paths.project, target) if target else None
    # The server takes some 15 s to answer; programs and lab come up meanwhile.
    console.print(str(service.start()))
    tools.install(group=tools.GroupName.UP if simulated else tools.GroupName.REAL)
    if simulated:
        import_lab().up()
    service.wait()
    configure(service, console)
    if spec and not no_deploy:
        deploy_first(service, target, console)
    say_where(service, target if not no_deploy else "", console, environments=environments)
    if spec:
        print_simulation_notice(spec.simulation_notice)
    console.print(f"up after {time.monotonic() - began:.0f} s")


def import_lab() -> ModuleType:
    """The lab's commands; own hardware does without that package."""
    return import_module("infraflux.cli.lab")


def deploy_first(service: Service, cluster: str, console: Console) -> None:
    """Run the deployment and follow it."""
    environment, _, name = cluster.partition("/")
    run = start_run(
        service.api(), f"deploy/{environment}", name=f"deploy-{environment}-{name}", parameters={"cluster": name}
    )
    finish(follow_run(service, run, title=f"deploy {cluster}", console=console))


def say_where(service: Service, deployed: str, console: Console, *, environments: Sequence[Environment]) -> None:
    """The UI, its password, the cluster if one was deployed, and how to deploy."""
    console.print(f"UI           {service.settings.url}")
    console.print(f"credentials  {service.paths.credentials} (the UI asks for user:password)", soft_wrap=True)
    if deployed:
        environment, _, name = deployed.partition("/")
        kubeconfig = ProjectPaths(service.paths.project).kubeconfig(environment, name)
        shown = kubeconfig.relative_to(Path.cwd()) if kubeconfig.is_relative_to(Path.cwd()) else kubeconfig
        console.print(f"kubectl      KUBECONFIG={shown} kubectl get nodes", soft_wrap=True)
    last = next((one for one in reversed(environments) if one.clusters), None)
    if last is None:
        console.print("next         infraflux init")
        return
    console.print(f"deploy       prefect deployment run deploy/{last.name}, or infraflux deploy {last.keys[0]}")


def down(port: Port = None) -> None:
    """Stop everything that `up` started; state and clusters stay, and come back with the next `up`."""
    console = Console(highlight=False)
    service = open_service(port, None)
    console.print(str(service.stop()))
    if (service.paths.state / "lab").is_dir():
        import_lab().down()
