"""`infraflux init`: from a Proxmox address to an environment and a cluster of one's own, by asking and looking."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from infraflux.adapters.git_repo import remote_url
from infraflux.adapters.proxmox.client import ProxmoxAccess
from infraflux.adapters.proxmox.facts import Site
from infraflux.cli.init_answers import Answers, normal_endpoint, read_answers
from infraflux.cli.project import console, project_root
from infraflux.cli.service import tell_running_service
from infraflux.config.environments import known_environments
from infraflux.config.layers import ENVIRONMENTS
from infraflux.config.load import load_cluster
from infraflux.config.scaffold import token_file
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.operations import site_setup
from infraflux.operations.proposal import Proposal, Wishes
from infraflux.operations.proposal_text import proposal_files


def init(
    environment: Annotated[str, typer.Argument(help="Name of the environment.")] = "home",
    *,
    endpoint: Annotated[
        list[str] | None, typer.Option(help="The Proxmox API, https://pve.example.org:8006; repeat for several.")
    ] = None,
    token_id: Annotated[str | None, typer.Option(help="API token, user@realm!name.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="File that holds the token's secret.")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="CA of the API's certificate: /etc/pve/pve-root-ca.pem.")] = None,
    bridge: Annotated[str | None, typer.Option(help="Bridge or VNet of the nodes.")] = None,
    vlan: Annotated[int | None, typer.Option(help="VLAN of the nodes.")] = None,
    node_cidr: Annotated[str | None, typer.Option(help="Network of the nodes, 10.0.4.0/24.")] = None,
    gateway: Annotated[str | None, typer.Option(help="Its gateway.")] = None,
    addresses: Annotated[str | None, typer.Option(help="Free addresses for all of it, 10.0.4.50-10.0.4.99.")] = None,
    disks: Annotated[str | None, typer.Option(help="Storage of the disks.")] = None,
    images: Annotated[str | None, typer.Option(help="Storage of the Talos image.")] = None,
    size: Annotated[str | None, typer.Option(help="A template of clusters/templates.")] = None,
    git: Annotated[str | None, typer.Option(help="Where the cluster reads this repository; its origin else.")] = None,
    domain: Annotated[str | None, typer.Option(help="DNS name of the cluster.")] = None,
    answers: Annotated[Path | None, typer.Option(help="YAML file with these options, by name.")] = None,
    keep_lab: Annotated[bool, typer.Option("--keep-lab", help="Keep the samples dev, staging and prod.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing; take what is proposed.")] = False,
) -> None:
    """Write an environment and a cluster that fit your Proxmox; asks what it cannot see. Again: changes nothing."""
    out, root = console(), project_root()
    file = ENVIRONMENTS / f"{environment}.yaml"
    if (root / file).exists():
        out.print(f"{environment} is there already ({file}): nothing was changed")
        out.print(f"next: infraflux doctor --environment {environment}")
        return
    given = {
        "endpoint": endpoint, "token_id": token_id, "token_file": token_file, "ca_file": ca_file, "bridge": bridge,
        "vlan": vlan, "node_cidr": node_cidr, "gateway": gateway, "addresses": addresses, "disks": disks,
        "images": images, "size": size, "git": git, "domain": domain,
    }  # fmt: skip
    said = read_answers(answers, given)
    dialogue = Dialogue(out, ask=sys.stdin.isatty() and not yes)
    dialogue.run(said, environment=environment, root=root, keep_lab=keep_lab)


class Dialogue:
    """Asks where somebody is there to answer; else what is missing is named with its option."""

    def __init__(self, out: Console, *, ask: bool) -> None:
        self.out, self.ask = out, ask

    def run(self, said: Answers, *, environment: str, root: Path, keep_lab: bool) -> None:
        """Everything from the first question to the next command."""
        endpoints = [normal_endpoint(one) for one in said.endpoint or (self._endpoint(),)]
        token_id = said.token_id or self._token_id(environment)
        secret = self._secret(said, token_id, environment, root)
        sites, ca_file = self._look(said, endpoints, token_id, secret)
        leaving, kept = self._leaving(root, keep_lab=keep_lab)
        wishes = self._wishes(said, environment, root)
        proposal = site_setup.propose_for(sites, wishes, root=root, leaving=leaving)
        self._show(proposal)
        if self.ask and not typer.confirm("Write it?", default=True):
            raise Permanent("nothing was written", error_class=ErrorClass.USER)
        shown_ca = _keep_ca(ca_file, environment, root)
        files = proposal_files(proposal, token_id=token_id, ca_file=shown_ca)
        new = site_setup.NewSite(files, secret, leaving)
        gone = site_setup.write_site(new, environment=environment, root=root)
        for path in (*files, token_file(environment)):
            self.out.print(f"wrote {path}")
        for path in gone:
            self.out.print(f"removed {path} (a sample of the lab)")
        if kept:
            self.out.print(f"kept the samples: {kept}")
        self._finish(proposal, sites[0], root)

    def _token_id(self, environment: str) -> str:
        proposed = f"infraflux@pve!{environment}"
        if not self.ask:
            return proposed
        self._say_how_to_make(proposed)
        return str(typer.prompt("Token id", default=proposed))

    def _say_how_to_make(self, token_id: str) -> None:
        self.out.print("A token that may look around and nothing else; paste this on one host, as root:")
        for line in site_setup.commands_to_look(token_id):
            self.out.print(f"  {escape(line)}")

    def _endpoint(self) -> str:
        if not self.ask:
            raise Permanent("nobody is there to be asked: --endpoint is needed", error_class=ErrorClass.USER)
        return str(typer.prompt("Proxmox API (address or URL)"))

    def _secret(self, said: Answers, token_id: str, environment: str, root: Path) -> str:
        path = said.token_file or root / token_file(environment)
        if path.is_file():
            return path.read_text().strip()
        if said.token_file is not None or not self.ask:
            self._say_how_to_make(token_id)
            raise Permanent(
                f"{path} does not hold the token's secret", error_class=ErrorClass.USER, next_step="say --token-file"
            )
        return str(typer.prompt("Its secret (not shown)", hide_input=True)).strip()

    def _look(self, said: Answers, endpoints: list[str], token_id: str, secret: str) -> tuple[list[Site], Path | None]:
        """The sites, and the CA that was needed for it."""
        ca_file = said.ca_file
        while True:
            if ca_file is not None and not ca_file.is_file():
                raise Permanent(f"there is no file {ca_file}", error_class=ErrorClass.USER, next_step="say --ca-file")
            accesses = [
                ProxmoxAccess(endpoint=one, token_id=token_id, token_secret=secret, ca_file=ca_file)
                for one in endpoints
            ]
            try:
                return site_setup.look_at(accesses), ca_file
            except Permanent as error:
                if not self.ask or "certificate is not trusted" not in error.message or ca_file is not None:
                    raise
                self.out.print("The certificate is signed by your Proxmox itself. Copy its CA here, for example with")
                self.out.print("  scp root@HOST:/etc/pve/pve-root-ca.pem .")
                ca_file = Path(typer.prompt("File with the CA", default="pve-root-ca.pem"))

    def _leaving(self, root: Path, *, keep_lab: bool) -> tuple[list[str], str]:
        """The samples that go, and why they stay where they do."""
        samples = [one.name for one in known_environments(root) if one.simulated]
        if keep_lab or not samples:
            return [], "--keep-lab" if samples else ""
        kept = site_setup.kept_because(root, samples)
        return ([], kept) if kept else (samples, "")

    def _wishes(self, said: Answers, environment: str, root: Path) -> Wishes:
        git, domain = said.git or remote_url(root), said.domain
        if self.ask and not git:
            git = typer.prompt("Git URL of this repository, as the cluster reads it (empty: later)", default="")
        if self.ask and not domain:
            domain = typer.prompt("DNS name of the cluster (empty: later)", default="")
        return Wishes(
            environment=environment,
            bridge=said.bridge,
            vlan=said.vlan,
            node_cidr=said.node_cidr,
            gateway=said.gateway,
            addresses=said.addresses,
            disks=said.disks,
            images=said.images,
            size=said.size,
            git=git,
            domain=domain,
        )

    def _show(self, one: Proposal) -> None:
        addresses = one.addresses.value
        rows = (
            ("hosts", ", ".join(one.hosts.value), one.hosts.why),
            ("disks", one.disks.value, one.disks.why),
            ("images", one.images.value, one.images.why),
            ("network", f"{one.bridge.value}, {one.network.value}", f"{one.bridge.why}; {one.network.why}"),
            ("addresses", f"{addresses.vip.first}-{addresses.balancer.last}", one.addresses.why),
            ("cluster", f"{one.cluster}, {one.size.value.name}", one.size.why),
            ("VM ids", f"from {one.vm_id_start.value}", one.vm_id_start.why),
        )
        for name, value, why in rows:
            self.out.print(f"{name:<10} [bold]{escape(value)}[/bold]  {escape(why)}")

    def _finish(self, proposal: Proposal, site: Site, root: Path) -> None:
        """What is left to decide, to grant and to do."""
        spec = load_cluster(root, f"{proposal.wishes.environment}/{proposal.cluster}")
        self.out.print("still to be decided:")
        for one in proposal.undecided:
            self.out.print(f"  - {escape(one)}")
        if site_setup.lacks(spec, site):
            self.out.print("the token may look, and a deploy needs more; paste this on one host, as root:")
            for line in site_setup.commands_of_environment([spec], root=root, new=False):
                self.out.print(f"  {escape(line)}")
        tell_running_service(self.out)
        self.out.print("then commit, push and start the service, which deploys nothing; next: infraflux up")


def _keep_ca(ca_file: Path | None, environment: str, root: Path) -> str:
    """The CA below the repository, where every worker finds it: it is no secret."""
    if ca_file is None:
        return ""
    inside = ca_file.resolve()
    if inside.is_relative_to(root.resolve()):
        return str(inside.relative_to(root.resolve()))
    target = Path("config/ca") / f"{environment}.pem"
    (root / target).parent.mkdir(exist_ok=True)
    (root / target).write_bytes(inside.read_bytes())
    return str(target)
