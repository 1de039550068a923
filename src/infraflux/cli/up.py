"""`infraflux up` and `down`: the whole product on one machine, in one command."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from infraflux.cli import lab, tools
from infraflux.cli.deploy import finish, follow_run
from infraflux.cli.project import print_simulation_notice
from infraflux.cli.service import Database, Port, configure, open_service
from infraflux.config.load import load_cluster
from infraflux.core.paths import ProjectPaths
from infraflux.service.lifecycle import Service
from infraflux.service.trigger import start_run

FIRST = "dev/dev-1"

Target = Annotated[str, typer.Option("--cluster", help="Which cluster to deploy, as ENV/NAME.")]
NoDeploy = Annotated[bool, typer.Option("--no-deploy", help="Start everything, deploy nothing.")]


def up(cluster: Target = FIRST, no_deploy: NoDeploy = False, port: Port = None, database: Database = None) -> None:
    """Install the programs, start the service and the lab, deploy dev, and say where everything is."""
    console = Console(highlight=False)
    began = time.monotonic()
    service = open_service(port, database)
    spec = load_cluster(service.paths.project, cluster)
    # The server takes some 15 s to answer; programs and lab come up meanwhile.
    console.print(str(service.start()))
    tools.install()
    lab.up()
    service.wait()
    configure(service, console)
    if not no_deploy:
        deploy_first(service, cluster, console)
    say_where(service, cluster, console, deployed=not no_deploy)
    print_simulation_notice(spec.simulation_notice)
    console.print(f"up after {time.monotonic() - began:.0f} s")


def deploy_first(service: Service, cluster: str, console: Console) -> None:
    """Run the deployment and follow it."""
    environment, _, name = cluster.partition("/")
    run = start_run(
        service.api(), f"deploy/{environment}", name=f"deploy-{environment}-{name}", parameters={"cluster": name}
    )
    finish(follow_run(service, run, title=f"deploy {cluster}", console=console))


def say_where(service: Service, cluster: str, console: Console, *, deployed: bool) -> None:
    """The UI, its password, the cluster."""
    environment, _, name = cluster.partition("/")
    kubeconfig = ProjectPaths(service.paths.project).kubeconfig(environment, name)
    console.print(f"UI           {service.settings.url}")
    console.print(f"credentials  {service.paths.credentials} (the UI asks for user:password)", soft_wrap=True)
    if deployed:
        shown = kubeconfig.relative_to(Path.cwd()) if kubeconfig.is_relative_to(Path.cwd()) else kubeconfig
        console.print(f"kubectl      KUBECONFIG={shown} kubectl get nodes", soft_wrap=True)
    console.print("deploy       prefect deployment run deploy/prod, or infraflux deploy prod/prod-1")


def down(port: Port = None) -> None:
    """Stop everything that `up` started; state and clusters stay, and come back with the next `up`."""
    console = Console(highlight=False)
    console.print(str(open_service(port, None).stop()))
    lab.down()
