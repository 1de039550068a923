"""What every Terraform process is given: its CLI configuration (where providers come from) and its variables."""

import json
from pathlib import Path

from infraflux.core.files import write_private

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


def settings(cli_config: Path) -> dict[str, str]:
    """Environment variables of a process that reads this CLI configuration."""
    return {
        "TF_CLI_CONFIG_FILE": str(cli_config),
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        # No call home, and no wait for it where there is no way out.
        "CHECKPOINT_DISABLE": "1",
        # Terraform and its provider live for seconds: collecting garbage less often saves processor time.
        "GOGC": "400",
    }
