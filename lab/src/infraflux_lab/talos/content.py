"""One resource of a machine, in the forms in which it travels."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from io import StringIO

from google.protobuf.message import Message
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString


@dataclass(frozen=True, kw_only=True)
class Content:
    """One resource without the metadata that the server adds."""

    namespace: str
    type: str
    id: str
    proto: bytes
    spec: object
    """What `yaml` shows; the text is made only of what somebody asks for, it costs more than all the rest."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    version: int | None = None
    """Where others count on it; else the server counts changes."""

    @property
    def key(self) -> tuple[str, str, str]:
        return self.namespace, self.type, self.id

    @property
    def yaml(self) -> str:
        """The spec as YAML: a string as a YAML string, which is how Talos shows a machine config."""
        return _string_yaml(self.spec) if isinstance(self.spec, str) else _spec_yaml(json.dumps(self.spec))


def make_content(namespace: str, kind: str, name: str, proto: Message, spec: object) -> Content:
    """A resource with both of its forms."""
    return Content(namespace=namespace, type=kind, id=name, proto=proto.SerializeToString(), spec=spec)


@lru_cache(maxsize=2048)
def _spec_yaml(document: str) -> str:
    return to_yaml(json.loads(document))


@lru_cache(maxsize=256)
def _string_yaml(text: str) -> str:
    return to_yaml(LiteralScalarString(text))


def to_yaml(spec: object) -> str:
    """YAML text of one spec."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 10_000
    stream = StringIO()
    yaml.dump(spec, stream)
    return stream.getvalue().removesuffix("...\n")
