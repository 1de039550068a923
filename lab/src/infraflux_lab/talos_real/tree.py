"""The root file system that all real nodes share, read-only: the tree of Talos' own container image.

Which directories, links and empty files there are: target `rootfs-base` of the Dockerfile in
github.com/siderolabs/talos. Go programs are our builds, the rest comes from this machine's distribution, each with the
libraries it names.
"""

import asyncio
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infraflux.core.files import write_whole
from infraflux_lab.state import LabError

DIRECTORIES = (
    *(
        "boot/EFI",
        "dev",
        "etc/cni/net.d",
        "etc/containerd",
        "etc/cri/conf.d/hosts",
        "etc/iscsi",
        "etc/kubernetes/manifests",
    ),
    *("etc/nvme", "etc/selinux/targeted/contexts/files", "etc/ssl/certs", "mnt", "opt/cni/bin", "opt/containerd/bin"),
    *("opt/containerd/lib", "proc", "run", "sys", "system", "tmp", "usr/bin", "usr/etc", "usr/lib", "usr/lib64"),
    *(
        "usr/lib/firmware",
        "usr/lib/modules",
        "usr/libexec/kubernetes",
        "usr/local/lib/kubelet/credentialproviders",
        "usr/local/share",
        "usr/share/spdx",
    ),
    *("usr/share/zoneinfo/Etc", "var", ".extra"),
)
EMPTY = (
    *("etc/cri/conf.d/01-registries.part", "etc/cri/conf.d/20-customization.part", "etc/cri/conf.d/base-spec.json"),
    *("etc/cri/conf.d/cri.toml", "etc/extensions.yaml", "etc/hostname", "etc/hosts", "etc/iscsi/initiatorname.iscsi"),
    *("etc/machine-id", "etc/nfsmount.conf", "etc/nvme/hostid", "etc/nvme/hostnqn", "etc/resolv.conf"),
    "etc/ssl/certs/ca-certificates.crt",
    "etc/selinux/targeted/contexts/files/file_contexts",
)
LINKS = {
    **{name: f"usr/{name}" for name in ("bin", "lib", "lib64")},
    "sbin": "usr/bin",
    "usr/sbin": "bin",
    **{f"usr/bin/{name}": "init" for name in ("poweroff", "shutdown", "reboot", "dashboard")},
    "etc/localtime": "/usr/share/zoneinfo/Etc/UTC",
    "etc/ssl/certs/ca-certificates": "ca-certificates.crt",
    **dict.fromkeys(("etc/pki", "usr/share/ca-certificates", "usr/local/share/ca-certificates"), "/etc/ssl"),
    "etc/ca-certificates": "/etc/ssl",
}
# The marker that Talos' container image carries; internal/pkg/containermode of its source looks for it.
IN_CONTAINER = "usr/etc/in-container"
UTC = Path("/usr/share/zoneinfo/Etc/UTC")
# What Debian calls the programs that Talos runs, and the packages that have them.
PACKAGED = {
    "runc": "runc",
    "nft": "nftables",
    "modprobe": "kmod",
    "xtables-nft-multi": "iptables",
    "mount": "mount",
    "umount": "mount",
    "busybox": "busybox-static",
}
OF_IMAGES = frozenset({"busybox"})
"""What only container images are made of."""
IPTABLES = ("iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore")
CNI_DIRECTORIES = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
CNI_PLUGINS = ("bridge", "host-local", "loopback", "portmap")
CNI_PACKAGE = "containernetworking-plugins"
# A root without CAP_SYS_RESOURCE may not lower a process' oom_score_adj, and Talos then restarts containerd for ever.
# There the copies of the programs that lower it write into /dev/null instead: the two paths are of one length.
OOM_PATH, NO_OOM_PATH = b"/oom_score_adj", b"/root/dev/null"
LOWER_OOM = frozenset({"machined", "runc"})
# Talos carries the public authorities inside its program and trusts no file beside them. What stands before the first
# of them there is a comment, long enough for a certificate.
BUNDLE_HEAD, BUNDLE_END = b"##\n## Bundle of CA Root Certificates\n", b"-----BEGIN CERTIFICATE-----"
CNI_NAME = "90-lab.conflist"
"""In /etc/cni/net.d, in place of what Cilium's agent writes there: a node without any CNI file is never Ready."""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What the tree is made from."""

    go: Mapping[str, Path]
    """Our builds by name: machined, containerd, containerd-shim-runc-v2."""
    packaged: Mapping[str, Path]
    cni: Path
    files: Path
    """Files of Talos' own module, kept beside machined."""
    authority: Path
    """The certificate that signed the registry's."""
    lower_oom: bool
    """Whether this machine may lower a process' oom_score_adj."""
    version: str

    def digest(self) -> str:
        """Changes when anything of it does."""
        known = [*self.go.values(), *self.packaged.values(), self.authority, *sorted(self.files.glob("*"))]
        stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in known]
        own = Path(__file__).read_bytes()
        return hashlib.sha256(json.dumps([stats, self.lower_oom, self.version]).encode() + own).hexdigest()


async def assemble(root: Path, sources: Sources) -> bool:
    """Make the tree at `root` where it is not there or made from something else; whether it was made now."""
    stamp = root.with_name(f"{root.name}.digest")
    digest = sources.digest()
    if stamp.exists() and stamp.read_text() == digest and root.exists():
        return False
    stamp.unlink(missing_ok=True)
    shutil.rmtree(root, ignore_errors=True)
    _skeleton(root)
    _configuration(root, sources)
    await _programs(root, sources)
    write_whole(stamp, digest.encode())
    return True


def _skeleton(root: Path) -> None:
    root.mkdir(parents=True, mode=0o755)
    root.chmod(0o755)
    for name in DIRECTORIES:
        make_directories(root, name)
    for name in EMPTY:
        _write(root / name, "")
    for name, target in LINKS.items():
        (root / name).symlink_to(target)
    (root / "tmp").chmod(0o1777)


def make_directories(root: Path, name: str) -> None:
    """Like `mkdir -p`, readable by all whatever the umask says."""
    path = root
    for part in Path(name).parts:
        path /= part
        path.mkdir(exist_ok=True)
        path.chmod(0o755)


def _configuration(root: Path, sources: Sources) -> None:
    _write(root / IN_CONTAINER, "true")
    _write(root / "etc/os-release", os_release(sources.version))
    _copy(UTC, root / "usr/share/zoneinfo/Etc/UTC")
    _copy(sources.files / "containerd.toml", root / "etc/containerd/config.toml")
    _copy(sources.files / "cri-containerd.toml", root / "etc/cri/containerd.toml")
    _copy(sources.files / "cri-plugin.part", root / "etc/cri/conf.d/00-base.part")


def os_release(version: str) -> str:
    """The fields that Talos reports to Kubernetes."""
    return f'NAME="Talos"\nID=talos\nVERSION_ID=v{version}\nPRETTY_NAME="Talos (v{version})"\n'


def cni_conflist() -> str:
    """A bridge for pods, each node with the same addresses: no pod talks to another node's, so none collides."""
    plugins = [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": False,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.199.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]},
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "0.4.0", "name": "lab", "plugins": plugins}, indent=1) + "\n"


async def _programs(root: Path, sources: Sources) -> None:
    binaries = root / "usr/bin"
    names = {"machined": "init"}
    for name, path in sources.go.items():
        _program(path, binaries / names.get(name, name), lower_oom=sources.lower_oom or name not in LOWER_OOM)
    packaged = {name: path for name, path in sources.packaged.items() if name not in OF_IMAGES}
    for name, path in packaged.items():
        _program(path, binaries / name, lower_oom=sources.lower_oom or name not in LOWER_OOM)
    init = binaries / "init"
    init.write_bytes(trusting(init.read_bytes(), sources.authority.read_bytes()))
    for name in IPTABLES:
        (binaries / name).symlink_to("xtables-nft-multi")
    plugins = [sources.cni / name for name in CNI_PLUGINS]
    for plugin in plugins:
        _copy(plugin, root / "opt/cni/bin" / plugin.name, mode=0o755)
    wanted = [*packaged.values(), *plugins]
    for library in await libraries(wanted):
        target = root / "usr" / library.relative_to("/").as_posix().removeprefix("usr/")
        make_directories(root, target.parent.relative_to(root).as_posix())
        _copy(library, target, mode=0o755)
    extensions = _iptables_extensions(sources.packaged["xtables-nft-multi"])
    if extensions is not None:
        shutil.copytree(extensions, root / extensions.relative_to("/"), dirs_exist_ok=True, symlinks=True)


def _program(source: Path, target: Path, *, lower_oom: bool) -> None:
    content = source.read_bytes()
    target.write_bytes(content if lower_oom else content.replace(OOM_PATH, NO_OOM_PATH))
    target.chmod(0o755)


def trusting(program: bytes, certificate: bytes) -> bytes:
    """A program like this one whose public authorities include this certificate; of the same length."""
    start = program.find(BUNDLE_HEAD)
    room = program.find(BUNDLE_END, start) - start
    if start < 0 or room < len(certificate):
        raise LabError("machined carries its public authorities in another form than the lab knows")
    return program[:start] + certificate.rstrip().ljust(room, b"\n") + program[start + room :]


def _iptables_extensions(program: Path) -> Path | None:
    """Where Debian and Fedora keep iptables' own plug-ins; None where they are compiled in."""
    found = sorted(path for path in program.parents[1].glob("lib*/**/xtables") if path.is_dir())
    return found[0] if found else None


async def libraries(programs: Iterable[Path]) -> list[Path]:
    """Every library that these programs load, with the dynamic linker itself; none for static ones."""
    found: set[Path] = set()
    for program in programs:
        process = await asyncio.create_subprocess_exec(
            "ldd", str(program), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        output, _ = await process.communicate()
        found |= set(library_paths(output.decode(errors="replace")))
    return sorted(found)


def library_paths(ldd: str) -> list[Path]:
    """Paths in what `ldd` prints: `libm.so.6 => /lib/x/libm.so.6 (0x…)` and `/lib64/ld-linux-x86-64.so.2 (0x…)`."""
    return [Path(path) for path in re.findall(r"(?:=>\s+|^\s*)(/\S+)\s+\(0x", ldd, flags=re.MULTILINE)]


def find_packaged() -> tuple[dict[str, Path], Path | None]:
    """The distribution's programs that are here, and the directory of CNI plugins."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin"
    # Of `modprobe` and others a link is found; the file behind it decides what it is by its name.
    found = {name: Path(where).resolve() for name in PACKAGED if (where := shutil.which(name, path=path))}
    cni = next((one for one in CNI_DIRECTORIES if all((one / name).exists() for name in CNI_PLUGINS)), None)
    return found, cni


def missing_packages(found: Mapping[str, Path], cni: Path | None) -> Sequence[str]:
    """Debian's names of what is not here."""
    missing = {package for name, package in PACKAGED.items() if name not in found}
    return sorted(missing | ({CNI_PACKAGE} if cni is None else set()))


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o644)


def _copy(source: Path, target: Path, *, mode: int = 0o644) -> None:
    if not source.exists():
        raise LabError(f"{source} is missing; run `infraflux tools install --group talos-real` again")
    shutil.copyfile(source, target)
    target.chmod(mode)
