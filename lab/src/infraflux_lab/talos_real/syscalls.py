"""The few system calls that Python 3.11 does not offer. Linux only."""

import ctypes
import os
from typing import Any

# linux/sched.h
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
# linux/mount.h
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2
# linux/prctl.h
PR_SET_PDEATHSIG = 1
# asm/unistd_64.h and asm-generic/unistd.h; the C library has no wrapper.
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

_libc = ctypes.CDLL(None, use_errno=True)


def _check(name: str, *arguments: Any) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}{arguments}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces of the caller for new ones; see unshare(2)."""
    _check("unshare", ctypes.c_int(flags))


def mount(source: str, target: str, kind: str = "", *, flags: int = 0, data: str = "") -> None:
    """See mount(2)."""
    words = (source.encode(), target.encode(), kind.encode())
    _check("mount", *words, ctypes.c_ulong(flags), data.encode() or None)


def pivot_root(new: str) -> None:
    """Make `new`, which is a mount point, the root, and let go of the old one; see the NOTES of pivot_root(2)."""
    os.chdir(new)
    number = _PIVOT_ROOT[os.uname().machine]
    _check("syscall", ctypes.c_long(number), b".", b".")
    _check("umount2", b".", ctypes.c_int(MNT_DETACH))
    os.chdir("/")


def die_with_parent(number: int) -> None:
    """The kernel sends this signal when the thread that started us ends; see PR_SET_PDEATHSIG in prctl(2)."""
    _check("prctl", ctypes.c_int(PR_SET_PDEATHSIG), ctypes.c_ulong(number))
