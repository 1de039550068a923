"""Real Talos nodes as a part of the lab."""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

from infraflux.core.files import write_whole
from infraflux_lab.contracts import Machine, PowerControl
from infraflux_lab.kubernetes import ClusterObserver
from infraflux_lab.parts import LabContext, PartFacts
from infraflux_lab.state import LabError
from infraflux_lab.talos_real import cgroups, images, needs, registry, sysctls, tree
from infraflux_lab.talos_real.clusters import Clusters
from infraflux_lab.talos_real.layout import Layout
from infraflux_lab.talos_real.machines import SOURCE, Machines
from infraflux_lab.talos_real.names import NameServer
from infraflux_lab.talos_real.network import Networks
from infraflux_lab.talos_real.reaper import Reaper, sweep

STAND_INS = (
    "quay.io/cilium/cilium",
    "quay.io/cilium/operator-generic",
    "registry.k8s.io/e2e-test-images/agnhost",
)
"""Images of the stand-in charts and of the example applications whose programs are not here: what runs in their name
only waits. What Argo CD's pods would do is done by its real programs, beside the cluster."""
KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
ANY_TAG = "*"
WAIT = "trap 'exit 0' TERM INT; sleep 2147483647 & wait"
"""A shell that ends at once with its pod; the longest sleep that fits into 31 bits."""
SIMULATED = (
    "not in container mode: installer and Talos upgrades, kernel and its arguments, disks, volumes and encryption, "
    "META, system extensions, time sync, the SMBIOS UUID, reboot and shutdown over the API"
)
CGROUP_V1 = "control groups are version 1 here, which kubelets refuse unless told: add {patch} to talos.patches.all"


class RealTalosPart:
    """Nodes, their networks, names and images; implements `Part` and `MachineObserver`."""

    def __init__(self, context: LabContext, power: PowerControl, *, beside: ClusterObserver) -> None:
        """`beside` is told of each cluster that the nodes make."""
        self._context = context
        self._layout = Layout(home=context.paths.root / "talos-real")
        self._groups = cgroups.Groups(self._layout.lab, cgroups.mounted())
        self._host = needs.look(context.programs, cgroups=self._groups.version if self._groups.found else 0)
        self._reaper = Reaper(self._layout)
        self._names: list[NameServer] = []
        self._store = images.ImageStore(self._layout.images)
        self._registry = registry.Registry(self._store, context.events)
        self._talos, self._kubernetes = "", ""
        self._machines = Machines(
            layout=self._layout,
            groups=self._groups,
            networks=Networks(self._layout.lab),
            power=power,
            events=context.events,
            new_gateway=self._serve,
        )
        self._clusters = Clusters(
            layout=self._layout, running=lambda: self._machines.running, observer=beside, events=context.events
        )

    async def start(self) -> None:
        """Make the tree and the images; machines appear as they get power. LabError names all that is missing."""
        if found := needs.missing(self._host):
            raise LabError("\n".join(["real Talos nodes cannot run here:", *(f"- {line}" for line in found)]))
        self._layout.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        await sweep(self._layout)
        sysctls.keep(self._layout.sysctls)
        await self._reaper.start()
        programs = self._host.programs
        self._talos = programs["machined"].parent.name
        self._kubernetes = await _version(programs["kubelet"])
        made = await tree.assemble(self._layout.root, self._sources())
        await self._make_images()
        await self._registry.open()
        if patch := cgroups.kubelet_patch(self._groups.found):
            # JSON is YAML; a patch file may be either.
            write_whole(self._layout.kubelet_patch, json.dumps(patch, indent=1), mode=0o644)
        self._clusters.start()
        self._context.events.emit(SOURCE, "ready", root_made=made, images=self._store.names())

    def _sources(self) -> tree.Sources:
        assert self._host.cni is not None
        programs = self._host.programs
        return tree.Sources(
            go={name: programs[name] for name in needs.GO_PROGRAMS},
            packaged=self._host.packaged,
            cni=self._host.cni,
            files=programs["machined"].parent / "files",
            authority=self._context.paths.ca_certificate,
            lower_oom=needs.may_lower_oom(self._host),
            version=self._talos,
        )

    async def _make_images(self) -> None:
        programs, version = self._host.programs, self._kubernetes
        helpers = {name: self._host.packaged[name] for name in ("mount", "umount")}
        libraries = await tree.libraries(helpers.values())
        recipes = {
            f"registry.k8s.io/{name}:{version}": images.program(programs[name], name=name) for name in KUBERNETES
        }
        # Talos and containerd name the tags they were released with; ours are the versions that are pinned.
        recipes[f"registry.k8s.io/etcd:{ANY_TAG}"] = images.program(programs["etcd"], name="etcd")
        recipes |= await self._workload_images()
        kubelet = images.kubelet(programs["kubelet"], helpers=helpers, libraries=libraries)
        recipes[f"ghcr.io/siderolabs/kubelet:{version}"] = kubelet
        for name, recipe in recipes.items():
            await asyncio.to_thread(self._store.add, name, recipe)

    async def _workload_images(self) -> dict[str, images.Recipe]:
        """What Argo CD's workloads and the example applications run from."""
        pause, busybox = self._host.programs["pause"], self._host.packaged["busybox"]
        shell = partial(
            images.busybox, busybox, commands=await _commands(busybox), libraries=await tree.libraries([busybox])
        )
        # Unlike `pause` it waits whatever arguments it is given.
        waiting = replace(shell(), entrypoint=["/bin/sh", "-c", WAIT], user="65535:65535")
        found = {"registry.k8s.io/pause": images.pause(pause), **dict.fromkeys(STAND_INS, waiting)}
        # A shell in which `argocd` is a program that waits, as whatever is started from it does.
        argocd = replace(shell(programs={"argocd": pause}), entrypoint=["/usr/local/bin/argocd"], user="999:999")
        found |= {"quay.io/argoproj/argocd": argocd, "registry.k8s.io/e2e-test-images/busybox": shell()}
        if sops := self._context.programs.get("sops"):
            found["ghcr.io/getsops/sops"] = shell(programs={"sops": sops})
        return {f"{name}:{ANY_TAG}": recipe for name, recipe in found.items()}

    async def _serve(self, gateway: IPv4Interface) -> None:
        """Answer on a node network's gateway for names and images."""
        contexts = registry.server_contexts(self._context.authority, self._context.paths)
        address = str(gateway.ip)
        try:
            await self._registry.listen(address, tls=registry.choose_by_name(contexts))
            names = NameServer(address, frozenset(registry.HOSTS))
            await names.listen()
        except OSError as error:
            raise LabError(f"gateway {address}: {error.strerror or error}") from None
        self._names.append(names)

    async def stop(self) -> None:
        """End every node, then put the machine back as it was."""
        await self._clusters.stop()
        await self._machines.stop()
        for names in self._names:
            names.close()
        await self._registry.close()
        await self._reaper.finish()

    def describe(self) -> Sequence[PartFacts]:
        """Each program of the nodes, with what container mode cannot show."""
        nodes = self._machines.running
        note = f"{len(nodes)} machines; {SIMULATED}"
        if self._groups.version == 1:
            note += f"; {CGROUP_V1.format(patch=self._layout.kubelet_patch)}"
        note += "".join(f"; {name} does not boot: {why}" for name, why in sorted(self._machines.failed.items()))
        names = ", ".join(name.partition("/")[2] for name in self._store.names())
        versions = {name: self._host.programs[name].parent.name for name in ("containerd", "etcd")}
        return [
            PartFacts(name="Talos nodes", version=f"v{self._talos}", kind="real", endpoint="<node>:50000", note=note),
            PartFacts(name="containerd", version=f"v{versions['containerd']}", kind="real"),
            PartFacts(name="etcd", version=f"v{versions['etcd']}", kind="real", note="one member per control plane"),
            PartFacts(
                name="kubelets and control planes", version=self._kubernetes, kind="real", endpoint="<node>:6443"
            ),
            PartFacts(name="node images", version="1", kind="simulated", note=f"made here from our builds: {names}"),
            PartFacts(
                name="pod network",
                version="1",
                kind="simulated",
                note="a bridge on each node stands in for Cilium, from when Cilium is installed",
            ),
            PartFacts(
                name="other pods",
                version="1",
                kind="simulated",
                note="their images are stand-ins: what runs in them only waits",
            ),
        ]

    # MachineObserver

    async def powered_on(self, machine: Machine) -> None:
        """The node boots, into maintenance unless its disk holds a configuration."""
        await self._machines.powered_on(machine)

    async def powered_off(self, machine: Machine) -> None:
        """The node is cut off, as by pulling the plug."""
        await self._machines.powered_off(machine)

    async def deleted(self, machine: Machine) -> None:
        """The node's disks are gone."""
        await self._machines.deleted(machine)

    # Control

    async def edit_config(self, machine: str, _patch: Mapping[str, Any]) -> None:
        """A real node takes a configuration over its own API only."""
        raise KeyError(f"{machine} is a real node: change its configuration with talosctl")


async def _said(*argv: str | Path) -> str:
    process = await asyncio.create_subprocess_exec(*map(str, argv), stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return output.decode(errors="replace")


async def _commands(busybox: Path) -> list[str]:
    return (await _said(busybox, "--list")).split()


async def _version(program: Path) -> str:
    found = re.search(r"v\d+\.\d+\.\d+\S*", await _said(program, "--version"))
    if found is None:
        raise LabError(f"{program} does not say its version")
    return found[0]
