"""Keys that another key silently makes void, and keys that need another one."""

from collections.abc import Iterator

from infraflux.config.checks.finding import Finding, Subject, needs
from infraflux.config.checks.patch_documents import patch_documents, value_at
from infraflux.config.models import NodePool, Role
from infraflux.config.models.nodes import DiskEncryption
from infraflux.config.problems import Path

SHARED_STATE = "globals"
"""The Terraform state that all clusters of an environment share: `<env>/globals` beside `<env>/<cluster>`."""

MOUNTING = ("UserVolumeConfig", "ExistingVolumeConfig")


@needs("name")
def no_cluster_takes_the_shared_state(subject: Subject) -> Iterator[Finding]:
    if subject.spec.name == SHARED_STATE:
        wrong = f"{SHARED_STATE!r} is the name of the Terraform state that the clusters of an environment share"
        yield Finding(("name",), wrong, "another name for the file is expected")


@needs("image")
def a_schematic_is_given_or_described(subject: Subject) -> Iterator[Finding]:
    """Extensions may stand beside an id: they then say what is in it, such as the guest agent."""
    schematic = subject.spec.image.schematic
    if schematic.id is not None and schematic.kernel_args:
        wrong = "the id stands for the whole schematic: these arguments would not be in the image"
        yield Finding(("image", "schematic", "kernel_args"), wrong, "give the id, or what goes into the image")


@needs("image")
def the_image_stays_nocloud(subject: Subject) -> Iterator[Finding]:
    """https://docs.siderolabs.com/talos/v1.13/platform-specific-installations/cloud-platforms/nocloud"""
    for index, argument in enumerate(subject.spec.image.schematic.kernel_args):
        name = argument.removeprefix("-").partition("=")[0]
        if name == "talos.platform" and argument != "talos.platform=nocloud":
            wrong = f"with {argument} a machine would not read its address from the drive that InfraFlux gives it"
            yield Finding(("image", "schematic", "kernel_args", index), wrong, "leave it out: the image says nocloud")


@needs("talos")
def the_install_disk_is_given_once(subject: Subject) -> Iterator[Finding]:
    """For all nodes there is a key; a patch for some of them says what the key cannot."""
    given = subject.spec.talos.install_disk
    for patch in patch_documents(subject.spec.talos.patches, subject.root):
        seen = value_at(patch.document, "machine.install.disk")
        if patch.scope == "all" and not patch.kind and isinstance(seen, str) and seen != given:
            wrong = f"machine.install.disk {seen} would override talos.install_disk, which is {given}"
            yield patch.blame(wrong, "set talos.install_disk instead")


@needs("proxmox")
def a_certificate_is_checked_or_not(subject: Subject) -> Iterator[Finding]:
    proxmox = subject.spec.proxmox
    if proxmox.insecure and proxmox.ca_file is not None:
        wrong = f"nothing is verified, also not against ca_file {proxmox.ca_file}"
        yield Finding(("proxmox", "insecure"), wrong, "false is expected beside a ca_file")


@needs("gitops")
def secret_zero_is_there_where_it_is_used(subject: Subject) -> Iterator[Finding]:
    how, reference = subject.spec.gitops.secret_management, subject.spec.gitops.secret_zero
    if how == "external-secrets" and reference is None:
        right = "a reference to the provider's credentials, such as env:PROVIDER_TOKEN"
        yield Finding(("gitops", "secret_zero"), "is missing with secret_management: external-secrets", right)
    if how == "none" and reference is not None:
        wrong = "is given, and with secret_management: none nothing would deliver it"
        yield Finding(("gitops", "secret_zero"), wrong, "remove it, or choose sops-age or external-secrets")


@needs("platform", "node_pools", "talos")
def data_disks_are_used(subject: Subject) -> Iterator[Finding]:
    """A warning: Talos mounts what it is told to, and nothing more."""
    longhorn = subject.spec.platform.runs("longhorn")
    wrong = "nothing uses this disk"
    if longhorn:
        wrong = "nothing mounts this disk, and Longhorn keeps its data in /var/lib/longhorn on the system disk"
    for pool in subject.spec.node_pools:
        if _mounts(subject, pool.role):
            continue
        for disk in (one for one in pool.data_disks if one.filesystem is None):
            right = f"filesystem: xfs mounts it at /var/mnt/{disk.name}"
            right += "; make that Longhorn's data path" if longhorn else ", raw leaves it to what takes whole disks"
            yield Finding(_disk(pool, disk.name), wrong, right, warning=True)


@needs("node_pools")
def only_volumes_are_encrypted(subject: Subject) -> Iterator[Finding]:
    for pool in subject.spec.node_pools:
        for disk in pool.data_disks:
            if disk.encryption is not DiskEncryption.NONE and not disk.is_volume:
                path: Path = (*_disk(pool, disk.name), "encryption")
                yield Finding(path, "nothing encrypts a disk that Talos does not format", "filesystem: xfs beside it")


def _disk(pool: NodePool, name: str) -> Path:
    return ("node_pools", pool.name, "data_disks", name)


def _mounts(subject: Subject, role: Role) -> bool:
    """https://docs.siderolabs.com/talos/v1.13/reference/configuration/block/uservolumeconfig, and machine.disks."""
    scopes = ("all", "node", "control_plane" if role is Role.CONTROL_PLANE else "worker")
    documents = patch_documents(subject.spec.talos.patches, subject.root)
    return any(
        (patch.kind in MOUNTING and value_at(patch.document, "provisioning.diskSelector.match") != "system_disk")
        or (not patch.kind and isinstance(value_at(patch.document, "machine.disks"), list))
        for patch in documents
        if patch.scope in scopes
    )
