"""Base section and the domain types every model uses. Sections are frozen and refuse keys they do not know."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

NAME_PATTERN = r"^[a-z]([-a-z0-9]{0,30}[a-z0-9])?$"


class Section(BaseModel):
    """One part of the configuration: immutable, unknown keys refused, strings never coerced from numbers."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, strict=False, use_attribute_docstrings=True
    )


def _no_template_syntax(text: str) -> str:
    """Refuse what a template, a shell or an option parser would read as more than text."""
    for marker in ("${", "{{", "%{", "\n", "\r", "\x00"):
        if marker in text:
            raise ValueError(f"{text!r} contains {marker!r}, which templates would interpret; plain text is expected")
    if text.startswith("-"):
        raise ValueError(f"{text!r} begins with '-', which programs read as an option; plain text is expected")
    return text


def _inside_repository(text: str) -> str:
    if text.startswith(("/", "~")) or ".." in text.split("/"):
        raise ValueError(f"{text!r} leaves the repository; a path below its root is expected, such as patches/all.yaml")
    return _no_template_syntax(text)


Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""Environment, cluster, pool, node and pool-like names: 1 to 32 characters."""

HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?$")]
"""A Proxmox node's name."""

DnsName = Annotated[
    str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$", max_length=253)
]

Text = Annotated[str, AfterValidator(_no_template_syntax)]
"""Free text that no template or option parser may misread."""

RepoPath = Annotated[str, AfterValidator(_inside_repository)]
"""A path below the repository root."""

Version = Annotated[str, Field(pattern=r"^v\d+\.\d+\.\d+(-[a-z]+\.\d+)?$")]
"""`v1.13.9`: always a string, with the leading v."""

ChartVersion = Annotated[str, Field(pattern=r"^v?\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?$")]

SecretRef = Annotated[
    str, Field(pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:[^\s{}$]+|age:[^\s{}$]+#[A-Za-z0-9_.-]+)$")
]
"""Where a secret is, never the secret: `env:NAME`, `file:path`, or `age:path/to/file.age#key`."""

LabelKey = Annotated[
    str, Field(pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")]
MacAddress = Annotated[str, Field(pattern=r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$")]
Url = Annotated[str, Field(pattern=r"^https?://[^-\s{}$][^\s{}$]*$")]
GitUrl = Annotated[str, Field(pattern=r"^(https?://|ssh://|git@)[^-\s{}$][^\s{}$]*$")]
"""https or ssh only: `ext::` and `file://` run code or read local files, and a host with a leading - is an option."""

StorageName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$")]
BridgeName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,14}$")]
NetworkHost = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9.:]{0,251}[A-Za-z0-9])?$")]
"""An address or a DNS name."""

AgeRecipient = Annotated[str, Field(pattern=r"^age1[0-9a-z]{58}$")]
ExtensionName = Annotated[str, Field(pattern=r"^[a-z0-9]+/[a-z0-9][a-z0-9.-]*$")]

SecretRefOrUrl = Annotated[str, Field(pattern=r"^(https?://[^\s{}$]+|env:[A-Za-z_][A-Za-z0-9_]*|file:[^\s{}$]+)$")]
