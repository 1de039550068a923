"""Bootstrap of 3+3 nodes on the lab, `zero` profile: ours against a serial shell script of the same talosctl calls.

Prints the walls, their ratio and the time from `lab up` to listening; nothing is asserted. Both sides start from blank
machines of an equal cluster with the same machine configs and end when the Kubernetes API lists every node. Run:
`python tests/bench/bench_bootstrap.py [octet]`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from infraflux.cli.lab import installed_programs
from infraflux.config.load import Fleet
from infraflux.operations import credentials, health
from infraflux.operations import talos_secrets as setup
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.machines import open_machines
from infraflux.operations.talos import open_talos
from infraflux_lab import lifecycle

REPOSITORY = Path(__file__).parents[2]
KEY = "prod/prod-1"

SCRIPT = """
set -euo pipefail
retry() { until "$@" >/dev/null 2>&1; do sleep 0.5; done; }
for node in $NODES; do
  retry "$TALOSCTL" apply-config --insecure -n "$node" -e "$node" --file "$CONFIGS/$node.yaml"
  retry "$TALOSCTL" --talosconfig "$TALOSCONFIG" version -n "$node" -e "$node"
  if [ "$node" = "$FIRST" ]; then
    "$TALOSCTL" --talosconfig "$TALOSCONFIG" bootstrap -n "$FIRST" -e "$FIRST"
    retry "$TALOSCTL" --talosconfig "$TALOSCONFIG" etcd members -n "$FIRST" -e "$FIRST"
  fi
done
retry "$TALOSCTL" --talosconfig "$TALOSCONFIG" kubeconfig "$KUBECONFIG" --force --merge=false -n "$FIRST" -e "$FIRST"
until [ "$("$KUBECTL" get nodes --no-headers 2>/dev/null | wc -l)" = "$COUNT" ]; do sleep 0.5; done
"""


def main() -> None:
    """Both sides one after the other, on a lab of their own each."""
    octet = sys.argv[1] if len(sys.argv) > 1 else "79"
    print(f"bootstrap 3+3, load {os.getloadavg()[0]:.1f}")
    ours, listening = measured(octet, bootstrap_ours)
    serial, _ = measured(octet, bootstrap_serial)
    print(f"ours {ours:.1f} s, serial script {serial:.1f} s, ratio {ours / serial:.2f}")
    print(f"lab up to listening {listening:.2f} s (aim 2)")


def measured(octet: str, bootstrap: object) -> tuple[float, float]:
    """Wall seconds of one bootstrap on a fresh lab, and of the lab's start."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "project"
        for part in ("config", "clusters", "terraform", "platform"):
            shutil.copytree(REPOSITORY / part, root / part, ignore=shutil.ignore_patterns(".terraform*"))
        for path in (*(root / "config").rglob("*.yaml"), *(root / "clusters").rglob("*.yaml")):
            path.write_text(path.read_text().replace("127.77", f"127.{octet}"))
        state = root / ".infraflux" / "lab"
        began = time.monotonic()
        lifecycle.up(spec_path=root / "config" / "lab.yaml", state_dir=state, programs=installed_programs())
        listening = time.monotonic() - began
        try:
            fleet = Fleet.load(root)
            machines = open_machines(fleet.cluster(KEY), root=root, fleet=fleet)
            machines.apply(machines.plan())
            talos = open_talos(fleet.cluster(KEY), root=root)
            setup.ensure_secrets(talos.workspace)
            credentials.ensure_talosconfig(talos)
            _ = talos.workspace.configs
            began = time.monotonic()
            bootstrap(talos)  # type: ignore[operator]
            return time.monotonic() - began, listening
        finally:
            lifecycle.reset(state)


def bootstrap_ours(talos: TalosCluster) -> None:
    """What `infraflux cluster bootstrap` does, its look for health included."""
    talos.configure_first_control_plane()
    talos.bootstrap_etcd()
    talos.join_nodes()
    credentials.ensure_kubeconfig(talos)
    health.wait_healthy(talos, require_ready=False)


def bootstrap_serial(talos: TalosCluster) -> None:
    """The calls a person would put into a script, node after node."""
    configs = talos.workspace.directory / "bench"
    configs.mkdir(mode=0o700)
    nodes = {str(node.address): talos.workspace.configs.by_node[node.name] for node in talos.spec.nodes}
    for address, text in nodes.items():
        (configs / f"{address}.yaml").write_text(text)
    programs = installed_programs()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "NODES": " ".join(nodes),
        "COUNT": str(len(nodes)),
        "FIRST": next(iter(nodes)),
        "CONFIGS": str(configs),
        "TALOSCTL": str(talos.workspace.talosctl.binary),
        "TALOSCONFIG": str(talos.workspace.talosconfig),
        "KUBECTL": str(programs.get("kubectl", "kubectl")),
        "KUBECONFIG": str(talos.workspace.kubeconfig),
    }
    subprocess.run(["bash", "-c", SCRIPT], env=environment, check=True)


if __name__ == "__main__":
    main()
