"""What was said to `infraflux init`, by options and by a file; a mistake in either is told by its name."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from infraflux.config.models.addresses import AddressRange
from infraflux.core.errors import ErrorClass, Permanent

PORT = 8006


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Answers(BaseModel):
    """Everything that may be said beforehand; what is empty is asked for or proposed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: Annotated[tuple[str, ...], BeforeValidator(_several)] = ()
    token_id: str = ""
    token_file: Path | None = None
    """File with the token's secret; the secret itself is never said here."""
    ca_file: Path | None = None
    bridge: str = ""
    vlan: int | None = None
    node_cidr: IPv4Network | None = None
    gateway: IPv4Address | None = None
    addresses: AddressRange | None = None
    disks: str = ""
    images: str = ""
    size: str = ""
    git: str = ""
    domain: str = ""


def read_answers(file: Path | None, given: Mapping[str, Any]) -> Answers:
    """The file with the options over it. Raises Permanent naming each key that is wrong."""
    document: dict[str, Any] = {}
    if file is not None:
        try:
            document = YAML(typ="safe", pure=True).load(file) or {}
        except (OSError, YAMLError) as error:
            raise Permanent(f"{file}: cannot be read as YAML: {error}", error_class=ErrorClass.USER) from None
    try:
        return Answers.model_validate({**document, **{key: value for key, value in given.items() if value is not None}})
    except ValidationError as error:
        lines = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise Permanent(f"{file or 'the options'}: {lines}", error_class=ErrorClass.USER) from None


def normal_endpoint(said: str) -> str:
    """`10.0.0.5`, `pve.lan:8006` and whole URLs as the URL of an API."""
    url = said.strip().rstrip("/") if "://" in said else f"https://{said.strip().rstrip('/')}"
    host = url.partition("://")[2]
    return url if ":" in host or "/" in host else f"{url}:{PORT}"
