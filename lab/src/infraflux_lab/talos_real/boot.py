"""One boot of one node: makes its namespaces, plugs its cards in, becomes Talos' init, ends as it ends.

A process of its own, because namespaces belong to processes and the lab's own process has threads. It dies with the
lab, and its machine with it: each process watches its parent, and the end of the machine's init ends all in its process
namespace; with the last process the kernel drops mounts and network.
"""

import contextlib
import json
import os
import resource
import signal
import socket
import stat
import sys
from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

from infraflux_lab.talos_real import syscalls as sys_

NAMESPACES = (
    sys_.CLONE_NEWNS
    | sys_.CLONE_NEWUTS
    | sys_.CLONE_NEWIPC
    | sys_.CLONE_NEWPID
    | sys_.CLONE_NEWNET
    | sys_.CLONE_NEWCGROUP
)
# Character devices that a container has; major and minor of Documentation/admin-guide/devices.txt.
DEVICES = (
    ("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("kmsg", 1, 11), ("tty", 5, 0),
    ("fuse", 10, 229), ("net/tun", 10, 200),
)  # fmt: skip
PRIVATE_TMPFS = ("/run", "/system", "/tmp")  # noqa: S108 - inside the node
QUIET = sys_.MS_NOSUID | sys_.MS_NODEV | sys_.MS_NOEXEC


class Ended(IntEnum):
    """Exit codes of this program."""

    REBOOT = 101
    """The node asked to be started again: reboot(2) in a process namespace ends its init with SIGHUP."""
    POWER_OFF = 102
    """It switched itself off: SIGINT."""
    KILLED = 103
    FAILED = 104
    """It could not be started; what failed is on its console."""


def main() -> int:
    """Boot what the specification on standard input describes."""
    spec = json.load(sys.stdin)
    os.umask(0o022)  # the lab's own files are private; a node's are what Talos makes them
    with Path(spec["console"]).open("ab", buffering=0) as console:
        os.dup2(console.fileno(), 1)
        os.dup2(console.fileno(), 2)
    try:
        return _boot(spec)
    except OSError as error:
        sys.stderr.write(f"lab: the node could not be started: {error}\n")
        return Ended.FAILED


def _boot(spec: Mapping[str, Any]) -> int:
    ready, told_ready = os.pipe()
    go, say_go = os.pipe()
    holder = os.fork()
    if holder == 0:
        _run_child(lambda: _hold(spec, told_ready=told_ready, go=go))
    os.close(told_ready)
    os.close(go)
    if not os.read(ready, 1):
        return _ended(holder)
    for nic in spec["nics"]:
        plug_in(nic, process=holder)
    os.write(say_go, b"1")
    os.close(say_go)
    return _ended(holder)


def _ended(process: int) -> int:
    _, status = os.waitpid(process, 0)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else Ended.KILLED


def _run_child(work: Any) -> None:
    """Run `work` in a forked child, which never returns into the parent's code."""
    code: int = Ended.FAILED
    try:
        sys_.die_with_parent(signal.SIGKILL)
        code = work()
    except OSError as error:
        sys.stderr.write(f"lab: the node could not be started: {error}\n")
    finally:
        os._exit(code)


def _hold(spec: Mapping[str, Any], *, told_ready: int, go: int) -> int:
    """Enter new namespaces and start init as the first process in them."""
    groups = spec["cgroups"]
    for group in groups:
        Path(group, "cgroup.procs").write_text(str(os.getpid()))
    sys_.unshare(NAMESPACES)
    os.write(told_ready, b"1")
    if not os.read(go, 1):
        return Ended.FAILED
    init = os.fork()
    if init == 0:
        _run_child(lambda: _become_init(spec))
    _, status = os.waitpid(init, 0)
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return {int(signal.SIGHUP): Ended.REBOOT, int(signal.SIGINT): Ended.POWER_OFF}.get(number, Ended.KILLED)


def plug_in(nic: Mapping[str, Any], *, process: int) -> None:
    """A cable from the bridge into the network of this process, with the card's MAC and its address preset."""
    name = nic["name"]
    _ip("link", "add", nic["host"], "type", "veth", "peer", "name", name, "address", nic["mac"], "netns", str(process))
    _ip("link", "set", nic["host"], "master", nic["bridge"], "up")
    inside = ("nsenter", f"--net=/proc/{process}/ns/net", "ip")
    _run(*inside, "link", "set", "lo", "up")
    _run(*inside, "link", "set", name, "up")
    if nic["address"]:
        _run(*inside, "address", "add", nic["address"], "dev", name)
    if nic["gateway"]:
        _run(*inside, "route", "replace", "default", "via", nic["gateway"])


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*argv: str) -> None:
    process = os.posix_spawnp(argv[0], argv, os.environ)
    _, status = os.waitpid(process, 0)
    if status != 0:
        raise OSError(f"{' '.join(argv)} ended with {os.waitstatus_to_exitcode(status)}")


def _become_init(spec: Mapping[str, Any]) -> int:
    socket.sethostname(spec["hostname"])
    furnish(spec)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and that would be inherited
        signal.signal(number, signal.SIG_DFL)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.setsid()
    os.execve("/sbin/init", ["/sbin/init"], dict(spec["environment"]))  # noqa: S606 - no shell is wanted


def furnish(spec: Mapping[str, Any]) -> None:
    """The file system as Talos' container image and `docker run --privileged --read-only` give it, then enter it."""
    sys_.mount("none", "/", flags=sys_.MS_REC | sys_.MS_PRIVATE)
    root = spec["target"]
    sys_.mount(spec["root"], root, flags=sys_.MS_BIND)
    sys_.mount("none", root, flags=sys_.MS_BIND | sys_.MS_REMOUNT | sys_.MS_RDONLY)
    sys_.mount("proc", f"{root}/proc", "proc", flags=QUIET)
    sys_.mount("sysfs", f"{root}/sys", "sysfs", flags=QUIET)
    _mount_cgroups(root, spec["hierarchies"])
    _make_devices(f"{root}/dev")
    for path in PRIVATE_TMPFS:
        sys_.mount("tmpfs", f"{root}{path}", "tmpfs", data="mode=0755")
    for path, source in spec["volumes"].items():
        Path(f"{root}{path}").mkdir(parents=True, exist_ok=True)
        sys_.mount(source, f"{root}{path}", flags=sys_.MS_BIND)
    for path, source in spec["files"].items():
        sys_.mount(source, f"{root}{path}", flags=sys_.MS_BIND)
    sys_.pivot_root(root)


def _mount_cgroups(root: str, hierarchies: Sequence[str]) -> None:
    """Version 2 where there is nothing else, else each hierarchy of version 1 at its name."""
    home = f"{root}/sys/fs/cgroup"
    if not hierarchies:
        sys_.mount("cgroup2", home, "cgroup2", flags=QUIET)
        return
    sys_.mount("tmpfs", home, "tmpfs", flags=QUIET, data="mode=0755")
    for options in hierarchies:
        target = Path(home, options.removeprefix("none,name="))
        target.mkdir()
        sys_.mount("cgroup", str(target), "cgroup", flags=QUIET, data=options)


def _make_devices(home: str) -> None:
    sys_.mount("tmpfs", home, "tmpfs", flags=sys_.MS_NOSUID, data="mode=0755")
    for name, major, minor in DEVICES:
        path = Path(home, name)
        path.parent.mkdir(exist_ok=True)
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(major, minor))
        path.chmod(0o666)
    for name in ("pts", "shm", "mqueue"):
        Path(home, name).mkdir()
    sys_.mount("devpts", f"{home}/pts", "devpts", data="newinstance,ptmxmode=0666,mode=0620")
    sys_.mount("tmpfs", f"{home}/shm", "tmpfs", data="mode=1777,size=64m")
    sys_.mount("mqueue", f"{home}/mqueue", "mqueue")
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
    for name, target in links.items():
        Path(home, name).symlink_to(f"/proc/self/{target}" if name.startswith("std") else target)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        raise SystemExit(main())
