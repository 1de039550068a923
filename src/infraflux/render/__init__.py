"""ClusterSpec -> files; pure: equal specs give equal bytes."""

from pathlib import Path

from infraflux.config.models import ClusterSpec
from infraflux.render.talos import render_patches
from infraflux.render.terraform import render_cluster as render_variables
from infraflux.render.terraform import to_tfvars


def render_cluster(spec: ClusterSpec, root: Path) -> dict[str, bytes]:
    """Everything computed for one cluster by its relative path; `root` is where its patch files are read from."""
    files = {"terraform/cluster.tfvars.json": to_tfvars(render_variables(spec))}
    patches = render_patches(spec, root=root)
    scopes = {"all": patches.all, "control-plane": patches.control_plane, "worker": patches.worker}
    scopes |= {f"node/{name}": documents for name, documents in patches.node.items()}
    for scope, documents in scopes.items():
        if documents:
            files[f"talos/{scope}.yaml"] = "---\n".join(document.removeprefix("---\n") for document in documents)
    return {path: text.encode() for path, text in sorted(files.items())}
