"""The Terraform filesystem mirror: where Terraform and OpenTofu look for the built providers.

Layout: https://developer.hashicorp.com/terraform/cli/config/config-file#filesystem_mirror
"""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from infraflux.adapters.tools.pins import Program

# `bpg/proxmox` means another registry to each of them.
REGISTRIES = ("registry.terraform.io", "registry.opentofu.org")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def platform_name() -> str:
    """This machine as Terraform calls it: `linux_amd64`."""
    machine = platform.machine()
    return f"{platform.system().lower()}_{ARCHITECTURES.get(machine, machine)}"


def mirror_paths(program: Program, *, mirror: Path) -> list[Path]:
    """Where the provider has to be for Terraform and for OpenTofu."""
    kind = program.provider.rpartition("/")[2]
    below = f"{program.provider}/{program.version}/{platform_name()}/terraform-provider-{kind}_v{program.version}"
    return [mirror / registry / below for registry in REGISTRIES]


def publish(built: Path, *, program: Program, mirror: Path) -> None:
    """Make the mirror hold `built`, by hard link; nothing to do when it does."""
    for path in mirror_paths(program, mirror=mirror):
        if path.exists() and path.samefile(built):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}-{os.getpid()}")
        draft.unlink(missing_ok=True)
        try:
            draft.hardlink_to(built)
        except OSError:
            shutil.copy2(built, draft)  # a file system without hard links
        draft.replace(path)
