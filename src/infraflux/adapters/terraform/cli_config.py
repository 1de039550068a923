"""Terraform's CLI configuration: where providers come from."""

import json
from pathlib import Path

from infraflux.adapters.files import write_private

PROXMOX_PROVIDER = "bpg/proxmox"


def write_cli_config(path: Path, *, mirror: Path | None) -> Path:
    """Write a CLI configuration that takes the Proxmox provider from `mirror`, all others from their registry.

    Without a mirror the registry is asked for it too. OpenTofu reads the same file under its own registry's name.
    """
    lines = ["disable_checkpoint = true"]
    if mirror is not None:
        # No registry in the address: Terraform and OpenTofu each put their own in front.
        patterns = json.dumps([PROXMOX_PROVIDER])
        lines += [
            "provider_installation {",
            f"  filesystem_mirror {{\n    path    = {json.dumps(str(mirror))}\n    include = {patterns}\n  }}",
            f"  direct {{\n    exclude = {patterns}\n  }}",
            "}",
        ]
    return write_private(path, "\n".join(lines) + "\n")
