"""Whether Talos would take a machine configuration: asked of the real talosctl, whose code a node runs as well.

What a node answers is `configloader.NewFromBytes`, then `Validate`, then `RuntimeValidate`, each error as
InvalidArgument word for word (internal/app/machined/internal/server/v1alpha1/v1alpha1_server.go, v1.13). `talosctl
validate` runs the first two; of the third, a node of platform nocloud looks at the age of the Kubernetes images.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infraflux.core.die_with_parent import die_with_parent
from infraflux_lab.talos.config_loading import ConfigError, listing, parse
from infraflux_lab.talos.machine_config import MachineConfig, image_version

# One call takes a quarter of a second; a machine that is busy with everything else takes longer.
_TIMEOUT_S = 60.0
_REMEMBERED = 512
_WARNING = "WARNING: "
# Minor versions of Kubernetes that a minor version of Talos takes (pkg/machinery/compatibility/talos110 to talos113).
_KUBERNETES = {10: (28, 33), 11: (29, 34), 12: (30, 35), 13: (31, 36)}
_COMPONENTS = {
    "kube-apiserver": "apiServer",
    "kube-controller-manager": "controllerManager",
    "kube-scheduler": "scheduler",
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What Talos says of one text; no refusal is an empty text."""

    refusal: str
    warnings: Sequence[str] = ()


class Validator:
    """Asks once per content: a deploy sends each node's configuration several times."""

    def __init__(self, talosctl: Path | None) -> None:
        """Without talosctl only what the lab itself needs is looked at; `lab status` says so."""
        self._talosctl = talosctl
        self._verdicts: OrderedDict[bytes, asyncio.Task[Verdict]] = OrderedDict()

    @property
    def complete(self) -> bool:
        """Whether Talos itself is asked."""
        return self._talosctl is not None

    async def accept(self, data: bytes, *, talos_version: str) -> tuple[MachineConfig, Sequence[str]]:
        """The configuration and Talos' warnings; ConfigError in Talos' words where such a node refuses it."""
        verdict = await self._verdict(data)
        if verdict.refusal:
            raise ConfigError(verdict.refusal)
        config = parse(data)
        if problems := image_problems(config, talos_version):
            raise ConfigError(listing(problems))
        return config, verdict.warnings

    async def _verdict(self, data: bytes) -> Verdict:
        if self._talosctl is None:
            return Verdict(refusal="")
        key = hashlib.sha256(data).digest()
        task = self._verdicts.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = self._verdicts[key] = asyncio.create_task(_ask(self._talosctl, data), name="talosctl validate")
            while len(self._verdicts) > _REMEMBERED:
                self._verdicts.popitem(last=False)
        # One caller that hangs up must not take the answer from the others.
        return await asyncio.shield(task)


async def _ask(talosctl: Path, data: bytes) -> Verdict:
    # On standard input: the text holds every key of a cluster.
    argv = die_with_parent([str(talosctl), "validate", "--mode", "cloud", "--config", "/dev/stdin"])
    process = await asyncio.create_subprocess_exec(
        *argv,
        env={"HOME": "/nonexistent", "PATH": "/usr/bin:/bin"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(data), _TIMEOUT_S)
    return read_verdict(said.decode(errors="replace"), refused=process.returncode != 0)


def read_verdict(said: str, *, refused: bool) -> Verdict:
    """Warnings come first, one a line; what follows is the error as Talos writes it."""
    lines = said.splitlines()
    warnings = [line.removeprefix(_WARNING) for line in lines if line.startswith(_WARNING)]
    if not refused:
        return Verdict(refusal="", warnings=warnings)
    error = "\n".join(line for line in lines if not line.startswith(_WARNING)).strip("\n")
    return Verdict(refusal=error or "invalid configuration", warnings=warnings)


def image_problems(config: MachineConfig, talos_version: str) -> list[str]:
    """Kubernetes images whose version this Talos does not take, as `RuntimeValidate` words it.

    pkg/machinery/config/types/v1alpha1/v1alpha1_validation.go; images without a version of their own are left alone,
    as Talos then takes its default.
    """
    images = {"kubelet": config.kubelet_image}
    if config.control_plane:
        images |= {name: config.component_image(section) for name, section in _COMPONENTS.items()}
    problems = ((name, _age_problem(image, talos_version)) for name, image in images.items() if image)
    return [f"{name} image is not valid: {problem}" for name, problem in problems if problem]


def _age_problem(image: str, talos_version: str) -> str:
    version = image_version(image)
    if version is None:
        return f'failed to parse Kubernetes version from image reference "{image}": invalid image reference: "{image}"'
    bounds = _KUBERNETES.get(_minor(talos_version))
    if bounds is None or bounds[0] <= _minor(version) <= bounds[1]:
        return ""
    age = "old" if _minor(version) < bounds[0] else "new"
    kubernetes, talos = version.removeprefix("v"), talos_version.removeprefix("v")
    return f"version of Kubernetes {kubernetes} is too {age} to be used with Talos {talos}"


def _minor(version: str) -> int:
    return int(version.split(".")[1])
