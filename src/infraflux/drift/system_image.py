"""The Talos image that a cluster's nodes are to run, beside the one that a node runs. Pure.

An image is its version and its schematic: extensions and kernel arguments are part of it, so a node of the right
version may still run the wrong image.
"""

from infraflux.adapters.talos.facts import SystemImage
from infraflux.config.models import ClusterSpec
from infraflux.render.talos import schematic_id

_SHORT = 12
"""Characters of an id that people compare."""


def wanted_image(spec: ClusterSpec) -> SystemImage:
    """What the configuration says; of a schematic that it gives by its id alone nobody knows the extensions."""
    schematic = spec.image.schematic
    names = tuple(sorted(name.rsplit("/", 1)[-1] for name in schematic.extensions))
    known = None if schematic.id and not names else names
    return SystemImage(version=spec.versions.talos, schematic=schematic_id(schematic), extensions=known)


def runs(seen: SystemImage, wanted: SystemImage) -> bool:
    """Whether a node has the wanted image. One that lists no schematic is judged by its extensions."""
    if seen.version != wanted.version:
        return False
    if seen.schematic or wanted.extensions is None:
        return seen.schematic == wanted.schematic
    return seen.extensions == wanted.extensions


def describe(before: SystemImage, after: SystemImage) -> str:
    """What differs, in words: `Talos v1.13.8 → v1.13.9, schematic 376567988ad3 → ce4c980550dd, + iscsi-tools`."""
    parts = [] if before.version == after.version else [f"Talos {before.version} → {after.version}"]
    if before.schematic and before.schematic != after.schematic:
        parts.append(f"schematic {before.schematic[:_SHORT]} → {after.schematic[:_SHORT]}")
        if before.extensions == after.extensions:
            parts.append("other kernel arguments")
    return ", ".join([*parts, *extension_changes(before, after)])


def extension_changes(before: SystemImage, after: SystemImage) -> list[str]:
    """`+ iscsi-tools`, `- qemu-guest-agent`; empty where those of one side are not known by name."""
    if before.extensions is None or after.extensions is None:
        return []
    added = [f"+ {name}" for name in after.extensions if name not in before.extensions]
    return [*added, *(f"- {name}" for name in before.extensions if name not in after.extensions)]
