"""The simulated hardware: `config/lab.yaml` as models."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from infraflux_lab.latency import PROFILES
from infraflux_lab.state import LabError

GIB = 1024**3
DnsLabel = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")]
StorageId = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9]$")]
TokenId = Annotated[str, Field(pattern=r"^[^@!\s/]+@[a-z]+![A-Za-z][A-Za-z0-9._-]+$")]
NetPrefix = Annotated[str, Field(pattern=r"^127\.(\d{1,3})$")]


class Section(BaseModel):
    """Unknown keys are mistakes; nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LatencySpec(Section):
    """Which durations are simulated."""

    profile: str = "zero"
    scale: float = Field(default=1.0, ge=0)
    phases: Mapping[str, float] = Field(default_factory=dict)
    """Seconds by phase, over those of the profile."""

    @model_validator(mode="after")
    def profile_is_known(self) -> Self:
        """Refuse a profile nobody has written."""
        if self.profile not in PROFILES:
            raise ValueError(f"unknown profile {self.profile!r}, there are: {', '.join(PROFILES)}")
        return self


class FactorySpec(Section):
    """Where the image factory listens (plain HTTP)."""

    address: IPv4Address
    port: int = Field(default=8882, ge=1, le=65535)


class PciSpec(Section):
    """One PCI device of a host."""

    id: str = Field(pattern=r"^[a-f0-9]{4}:[a-f0-9]{2}:[a-f0-9]{2}\.[a-f0-9]$")
    vendor: str = Field(pattern=r"^[a-f0-9]{4}$")
    device: str = Field(pattern=r"^[a-f0-9]{4}$")
    device_class: str = Field(default="030000", pattern=r"^[a-f0-9]{6}$")
    name: str = ""


class HostSpec(Section):
    """One Proxmox host."""

    cores: int = Field(ge=1)
    memory_mib: int = Field(ge=1024)
    pci: Sequence[PciSpec] = ()
    """Devices that guests may be given."""


class StorageSpec(Section):
    """One storage definition; a storage that is not shared exists once per host with this capacity."""

    id: StorageId
    type: Literal["dir", "lvmthin", "zfspool", "nfs", "rbd"]
    content: Sequence[Literal["images", "rootdir", "iso", "import", "vztmpl", "snippets", "backup"]]
    capacity_gib: int = Field(ge=1)
    shared: bool = False

    @property
    def capacity_bytes(self) -> int:
        return self.capacity_gib * GIB

    @property
    def file_based(self) -> bool:
        """Files in directories, as opposed to block volumes."""
        return self.type in ("dir", "nfs")


class TokenSpec(Section):
    """An API token with the privileges of its ACL: path to privileges, valid for everything below."""

    id: TokenId
    privileges: Mapping[str, Sequence[str]]
    privsep: bool = True
    """Whether the token's own privileges count at all; those of its user are the limit in any case."""
    user_privileges: Mapping[str, Sequence[str]] | None = None
    """The same of its user; as many as the token has where nothing is said."""

    @property
    def user(self) -> str:
        return self.id.partition("!")[0]


class EnvironmentSpec(Section):
    """One Proxmox cluster."""

    address: IPv4Address
    port: int = Field(default=8006, ge=1, le=65535)
    hosts: Mapping[DnsLabel, HostSpec] = Field(min_length=1)
    bridges: Sequence[str] = ("vmbr0",)
    storages: Sequence[StorageSpec] = Field(min_length=1)
    tokens: Sequence[TokenSpec] = ()

    @property
    def endpoint(self) -> str:
        return f"https://{self.address}:{self.port}"


class LabSpec(Section):
    """The whole lab."""

    net: NetPrefix = "127.77"
    talos: Literal["simulated", "real"] = "simulated"
    """What machines run: the simulated Talos API, or real nodes (Linux, root)."""
    latency: LatencySpec = LatencySpec()
    image_factory: FactorySpec
    """Its address also serves charts (8880) and Git (8881)."""
    charts: Path | None = None
    """Directory of real chart archives, relative to the project, to take the place of the stand-ins."""
    anchors: Mapping[str, Any] = Field(default_factory=dict)
    """Not read: a place for what YAML anchors repeat."""
    environments: Mapping[DnsLabel, EnvironmentSpec] = Field(min_length=1)

    @model_validator(mode="after")
    def addresses_are_in_net(self) -> Self:
        """Every address starts with `net`, so that another prefix moves the whole lab."""
        addresses = [self.image_factory.address, *(env.address for env in self.environments.values())]
        outside = [str(address) for address in addresses if not str(address).startswith(f"{self.net}.")]
        if outside:
            raise ValueError(f"outside net {self.net}: {', '.join(outside)}")
        return self


def load_spec(
    path: Path,
    *,
    net: str | None = None,
    latency: Mapping[str, Any] | None = None,
    charts: str | None = None,
    talos: str | None = None,
) -> LabSpec:
    """Read the spec; `net` replaces its prefix everywhere, `latency` its profile and scale, `charts` its archives,
    `talos` what machines run.

    Raises LabError with every problem as `file: dotted.path: what is wrong`.
    """
    try:
        document = YAML(typ="safe", pure=True).load(path.read_text())
    except FileNotFoundError:
        raise LabError(f"{path} is not there; run this in the project, or say --spec") from None
    except YAMLError as error:
        raise LabError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(document, dict):
        raise LabError(f"{path}: must be a mapping with the keys {', '.join(LabSpec.model_fields)}")
    if latency:
        document["latency"] = {**document.get("latency", {}), **latency}
    document |= {key: value for key, value in {"charts": charts, "talos": talos}.items() if value}
    if net:
        document = with_net(document, old=str(document.get("net", "127.77")), new=net)
    try:
        return LabSpec.model_validate(document)
    except ValidationError as error:
        lines = [f"{path}: {'.'.join(map(str, item['loc'])) or 'net'}: {item['msg']}" for item in error.errors()]
        raise LabError("\n".join(lines)) from None


def spec_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What of the remembered settings changes the spec, as arguments of `load_spec`."""
    return {key: settings[key] for key in ("net", "latency", "charts", "talos") if key in settings}


def with_net(document: Any, *, old: str, new: str) -> Any:
    """The same document with another network prefix in every address."""
    if isinstance(document, dict):
        return {key: with_net(value, old=old, new=new) for key, value in document.items()}
    if isinstance(document, list):
        return [with_net(value, old=old, new=new) for value in document]
    if isinstance(document, str) and (document == old or document.startswith(f"{old}.")):
        return new + document[len(old) :]
    return document
