"""CPU types that the machines can be given, and that Talos can start on."""

from collections.abc import Iterator

from infraflux.config.checks.finding import Finding, Subject, needs
from infraflux.config.suggest import nearest

_TOO_OLD = (
    "486 Conroe Opteron_G1 Opteron_G2 Opteron_G3 Penryn athlon core2duo coreduo kvm32 kvm64 pentium pentium2 pentium3"
    " phenom qemu32 qemu64"
)
"""Below x86-64-v2, for which Talos v1.13.9 is built (Makefile, GOAMD64). Levels of the models:
https://www.qemu.org/docs/master/system/qemu-cpu-models.html"""
_NEW_ENOUGH = (
    "Broadwell Broadwell-IBRS Broadwell-noTSX Broadwell-noTSX-IBRS Cascadelake-Server Cascadelake-Server-noTSX"
    " Cascadelake-Server-v2 Cascadelake-Server-v4 Cascadelake-Server-v5 Cooperlake Cooperlake-v2 EPYC EPYC-Genoa"
    " EPYC-IBPB EPYC-Milan EPYC-Rome EPYC-Rome-v2 EPYC-Rome-v3 EPYC-Rome-v4 EPYC-v3 EPYC-v4 Haswell Haswell-IBRS"
    " Haswell-noTSX Haswell-noTSX-IBRS Icelake-Client Icelake-Client-noTSX Icelake-Server Icelake-Server-noTSX"
    " Icelake-Server-v3 Icelake-Server-v4 Icelake-Server-v5 Icelake-Server-v6 IvyBridge IvyBridge-IBRS KnightsMill"
    " Nehalem Nehalem-IBRS Opteron_G4 Opteron_G5 SandyBridge SandyBridge-IBRS SapphireRapids Skylake-Client"
    " Skylake-Client-IBRS Skylake-Client-noTSX-IBRS Skylake-Client-v4 Skylake-Server Skylake-Server-IBRS"
    " Skylake-Server-noTSX-IBRS Skylake-Server-v4 Skylake-Server-v5 Westmere Westmere-IBRS host max x86-64-v2"
    " x86-64-v2-AES x86-64-v3 x86-64-v4"
)
"""The other built-in ones that the provider bpg/proxmox 0.111.1 takes: proxmoxtf/resource/vm/validators.go."""

TOO_OLD, NEW_ENOUGH = frozenset(_TOO_OLD.split()), frozenset(_NEW_ENOUGH.split())


@needs("proxmox")
def talos_starts_on_this_cpu(subject: Subject) -> Iterator[Finding]:
    given = subject.spec.proxmox.cpu_type
    path = ("proxmox", "cpu_type")
    if given in TOO_OLD:
        wrong = f"{given} is older than x86-64-v2, and Talos does not start on it"
        yield Finding(path, wrong, "x86-64-v2-AES, host or a newer one is expected")
    elif given not in NEW_ENOUGH and not given.startswith("custom-"):
        near = nearest(given, sorted(NEW_ENOUGH))
        right = f"did you mean {near}?" if near else "host, x86-64-v2-AES or custom-<name> is expected"
        yield Finding(path, f"Terraform's provider for Proxmox knows no CPU type {given!r}", right)
