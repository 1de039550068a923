"""Config management plugins: sidecars of Argo CD's repo server, run for real with the files their pod would mount.

https://argo-cd.readthedocs.io/en/stable/operator-manual/config-management-plugins/#sidecar-plugin
"""

import hashlib
import json
import os
import shutil
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from infraflux.core.files import make_private_dir, write_private
from infraflux_lab.gitops.argocd import CMP_SERVER, ArgoSite, container_variables
from infraflux_lab.kubernetes.programs import GC_PERCENT, ProcessSpec

CONFIG = "/home/argocd/cmp-server/config"
"""Where the image's server looks for its plugin.yaml."""
Data = Mapping[str, str]
"""What a ConfigMap or Secret holds, as text by key."""


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """One sidecar."""

    name: str
    files: Mapping[str, str] = field(repr=False)
    """Content by path in the container: mounted ConfigMaps and Secrets."""
    variables: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Another one where anything mounted differs: the server reads its configuration only once."""
        return hashlib.sha256(json.dumps(self.files, sort_keys=True).encode()).hexdigest()[:16]


def find_plugins(workload: Mapping[str, Any], *, maps: Mapping[str, Data], secrets: Mapping[str, Data]) -> list[Plugin]:
    """The plugins among a Deployment's containers (pure).

    One whose ConfigMap or Secret is not there is left out: its pod would wait for it.
    """
    pod = workload["spec"]["template"]["spec"]
    volumes = {one["name"]: one for one in pod.get("volumes") or ()}
    found = []
    for container in pod["containers"]:
        if not is_plugin(container):
            continue
        try:
            files = dict(_files(container, volumes, maps=maps, secrets=secrets))
        except KeyError:
            continue
        found.append(Plugin(name=container["name"], files=files, variables=container_variables(container)))
    return found


def is_plugin(container: Mapping[str, Any]) -> bool:
    """Whether a container runs Argo CD's plugin server."""
    return bool(container.get("command")) and PurePosixPath(container["command"][0]).name == CMP_SERVER


def secret_names(workload: Mapping[str, Any]) -> list[str]:
    """Secrets that the plugins of a Deployment mount; none where it has no plugin (pure)."""
    pod = workload["spec"]["template"]["spec"]
    mounted = {
        mount["name"]
        for container in pod["containers"]
        if is_plugin(container)
        for mount in container.get("volumeMounts") or ()
    }
    volumes = [one for one in pod.get("volumes") or () if one["name"] in mounted and "secret" in one]
    return sorted(one["secret"]["secretName"] for one in volumes)


def decoded(secret: Mapping[str, Any]) -> dict[str, str]:
    """What a Secret holds."""
    return {key: b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}


def _files(
    container: Mapping[str, Any],
    volumes: Mapping[str, Mapping[str, Any]],
    *,
    maps: Mapping[str, Data],
    secrets: Mapping[str, Data],
) -> Iterator[tuple[str, str]]:
    for mount in container.get("volumeMounts") or ():
        volume = volumes.get(mount["name"], {})
        if "configMap" in volume:
            data = maps[volume["configMap"]["name"]]
        elif "secret" in volume:
            data = secrets[volume["secret"]["secretName"]]
        else:  # an empty directory: the program's own, or filled by an init container
            continue
        if "subPath" in mount:
            yield mount["mountPath"], data[mount["subPath"]]
        else:
            yield from ((f"{mount['mountPath']}/{key}", value) for key, value in data.items())


def mount(plugins: Sequence[Plugin], site: ArgoSite) -> None:
    """Make exactly these plugins' files be there (0600), and nothing of others: they may hold keys."""
    wanted = {_home(plugin, site) for plugin in plugins}
    for stale in set(site.plugins.glob("*")) - wanted:
        shutil.rmtree(stale)
    for plugin in plugins:
        for path, content in plugin.files.items():
            write_private(_inside(path, plugin, site), content)
        make_private_dir(_home(plugin, site) / "tmp")


def plugin_program(plugin: Plugin, site: ArgoSite) -> ProcessSpec:
    """The plugin server with its own files; paths in its variables lead to where they are here (pure)."""
    home = _home(plugin, site)
    said = {name: _moved(value, plugin, site) for name, value in plugin.variables.items()}
    fixed = {
        "PATH": f"{site.bin}{os.pathsep}/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        # Working copies with decrypted files: in the pod this is memory.
        "TMPDIR": str(home / "tmp"),
        "ARGOCD_PLUGINSOCKFILEPATH": str(site.plugin_sockets),
        "GOMEMLIMIT": "64MiB",
        "GOGC": str(GC_PERCENT),
    }
    argv = [
        str(site.bin / CMP_SERVER),
        f"--config-dir-path={_inside(CONFIG, plugin, site)}",
        "--loglevel=warn",
    ]
    return ProcessSpec(name=f"{CMP_SERVER}-{plugin.name}", argv=argv, environment={**said, **fixed})


def _home(plugin: Plugin, site: ArgoSite) -> Path:
    return site.plugins / f"{plugin.name}-{plugin.digest}"


def _inside(path: str, plugin: Plugin, site: ArgoSite) -> Path:
    return _home(plugin, site) / "root" / path.lstrip("/")


def _moved(value: str, plugin: Plugin, site: ArgoSite) -> str:
    return str(_inside(value, plugin, site)) if value in plugin.files else value
