"""What the provider-free part of the cluster stack computes, without state, without Proxmox."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from infraflux.adapters.terraform.argv import FLAG, ArgvBuilder
from infraflux.adapters.terraform.cli_config import settings, write_cli_config
from infraflux.adapters.terraform.state import parse_state
from infraflux.adapters.terraform.workspace import Tool
from infraflux.core import process
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.files import write_private

PART = ("platform.tf", "variables.tf", "variables_platform.tf")
"""Of `terraform/cluster`: the modules in it have no provider and no resource, so the variables say all."""
DEADLINE_S = 60.0


def compute_outputs(variables: str, *, source: Path, tool: Tool, label: str) -> Mapping[str, Any]:
    """Outputs of the part with these variables (a `.tfvars.json` document); `source` is `terraform/` of the project.

    Permanent with Terraform's own words where it refuses them.
    """
    with TemporaryDirectory(prefix="infraflux-computed-") as name:
        root = Path(name)
        stack = root / "cluster"
        stack.mkdir()
        (root / "modules").symlink_to(source.resolve() / "modules")
        for file in PART:
            shutil.copyfile(source / "cluster" / file, stack / file)
        words = ArgvBuilder(binary=tool.binary, directory=stack)
        environment = settings(write_cli_config(root / "cli.tfrc", mirror=tool.mirror))
        given = write_private(root / "terraform.tfvars.json", variables)
        for argv in (
            words.argv("init", input=False, no_color=FLAG),
            words.argv("apply", input=False, no_color=FLAG, auto_approve=FLAG, var_file=str(given)),
        ):
            done = process.run(argv, deadline_s=DEADLINE_S, env=environment)
            if done.returncode:
                raise Permanent(
                    f"Terraform computes no values of the platform: {done.stderr.strip()}",
                    cluster=label,
                    stage="platform",
                    error_class=ErrorClass.CONFIG,
                    next_step=f"infraflux config validate, then infraflux machines plan {label}",
                )
        return parse_state((stack / "terraform.tfstate").read_text()).outputs
