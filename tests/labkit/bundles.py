"""What Terraform computes of the platform, without the machines: the platform part of `terraform/cluster` alone."""

import json
import shutil
from pathlib import Path

from infraflux.adapters.tools.locate import locate
from infraflux.config.models import ClusterSpec
from infraflux.core.process import run
from infraflux.operations.installer import Bundle
from infraflux.render.terraform import render_cluster

ROOT = Path(__file__).parents[2]
REST = """
variable "environment" { type = string }
variable "name" { type = string }
variable "network" { type = object({ mtu = number }) }
variable "nodes" { type = map(object({ role = string })) }
"""


def compute_bundle(spec: ClusterSpec, workdir: Path) -> Bundle:
    """`terraform apply` of the two modules as the cluster stack composes them."""
    stack = workdir / "terraform/platform-only"
    shutil.copytree(ROOT / "terraform/modules", workdir / "terraform/modules", dirs_exist_ok=True)
    stack.mkdir(parents=True, exist_ok=True)
    for name in ("platform.tf", "variables_platform.tf"):
        shutil.copy(ROOT / "terraform/cluster" / name, stack)
    (stack / "rest.tf").write_text(REST)
    variables = render_cluster(spec)
    wanted = {name: variables[name] for name in ("environment", "name", "network", "nodes", "platform")}
    (stack / "terraform.tfvars.json").write_text(json.dumps(wanted))
    for words in (["init", "-input=false"], ["apply", "-input=false", "-auto-approve"]):
        run([locate("terraform"), f"-chdir={stack}", *words], deadline_s=120).require()
    done = run([locate("terraform"), f"-chdir={stack}", "output", "-json"], deadline_s=60).require()
    return Bundle.from_outputs(json.loads(done.stdout))
