"""Base section and the domain types every model uses. Sections are frozen and refuse keys they do not know."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from infraflux.config import patterns


class Section(BaseModel):
    """One part of the configuration: immutable, unknown keys refused, strings never coerced from numbers."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, strict=False, use_attribute_docstrings=True
    )


def _no_template_syntax(text: str) -> str:
    """Refuse what a template would read as more than text."""
    for marker in ("${", "{{", "%{", "\n", "\r", "\x00"):
        if marker in text:
            raise ValueError(f"{text!r} contains {marker!r}, which templates would interpret; plain text is expected")
    return text


def _one_argument(text: str) -> str:
    """Kernel arguments go to the image factory as YAML and to no template; `${uuid}` in them is for Talos itself.

    https://docs.kernel.org/admin-guide/kernel-parameters.html: white space ends an argument outside of quotes.
    """
    if not text.isprintable() or not text or (" " in text and '"' not in text):
        raise ValueError(f"{text!r} is not one kernel argument; name, name=value or -name is expected")
    return text


def _inside_repository(text: str) -> str:
    if text.startswith(("/", "~")) or ".." in text.split("/"):
        raise ValueError(f"{text!r} leaves the repository; a path below its root is expected, such as patches/all.yaml")
    return _no_template_syntax(text)


Name = Annotated[str, Field(pattern=patterns.NAME.regex)]
"""Environment, cluster, pool and pool-like names: 1 to 32 characters."""

NodeName = Annotated[str, Field(pattern=patterns.NODE_NAME.regex)]
"""Names of machines and of what Kubernetes names like them: one DNS label."""

HostName = Annotated[str, Field(pattern=patterns.HOST.regex)]
"""A Proxmox node's name."""

DnsName = Annotated[str, Field(pattern=patterns.DNS_NAME.regex, max_length=253)]
ClusterDomain = Annotated[str, Field(pattern=patterns.CLUSTER_DOMAIN.regex, max_length=253)]

Text = Annotated[str, AfterValidator(_no_template_syntax)]
"""Free text that no template may misread."""

KernelArgument = Annotated[str, AfterValidator(_one_argument)]
"""One argument as the image factory takes it: `name=value`, or `-name` to leave a default one out."""

RepoPath = Annotated[str, AfterValidator(_inside_repository)]
"""A path below the repository root."""

Version = Annotated[str, Field(pattern=patterns.VERSION.regex)]
"""`v1.13.9`: always a string, with the leading v."""

ChartVersion = Annotated[str, Field(pattern=patterns.CHART_VERSION.regex)]

SecretRef = Annotated[str, Field(pattern=patterns.SECRET_REF.regex)]
"""Where a secret is, never the secret: `env:NAME`, `file:path`, or `age:path/to/file.age#key`."""

LabelKey = Annotated[str, Field(pattern=patterns.LABEL_KEY.regex, max_length=317)]
LabelValue = Annotated[str, Field(pattern=patterns.LABEL_VALUE.regex)]
MacAddress = Annotated[str, Field(pattern=patterns.MAC.regex), AfterValidator(str.lower)]
"""Proxmox shows capitals, Talos small letters: both mean the same card."""
Url = Annotated[str, Field(pattern=patterns.URL.regex)]
GitUrl = Annotated[str, Field(pattern=patterns.GIT_URL.regex)]
"""https or ssh only: `ext::` and `file://` run code or read local files, and a host with a leading - is an option."""

StorageName = Annotated[str, Field(pattern=patterns.STORAGE.regex)]
BridgeName = Annotated[str, Field(pattern=patterns.BRIDGE.regex)]
PoolName = Annotated[str, Field(pattern=patterns.POOL.regex)]
Tag = Annotated[str, Field(pattern=patterns.TAG.regex)]
TimeServer = Annotated[str, Field(pattern=patterns.TIME_SERVER.regex)]
"""An address, a DNS name or a clock device."""

AgeRecipient = Annotated[str, Field(pattern=patterns.AGE_RECIPIENT.regex)]
ExtensionName = Annotated[str, Field(pattern=patterns.EXTENSION.regex)]
GitRemote = Annotated[str, Field(pattern=patterns.GIT_REMOTE.regex)]

SecretRefOrUrl = Annotated[str, Field(pattern=patterns.SECRET_REF_OR_URL.regex)]
