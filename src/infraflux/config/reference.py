"""The reference part of docs/configuration.md, generated from the models so that it cannot drift from them."""

from collections.abc import Iterator
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from infraflux.config.models import ClusterSpec
from infraflux.config.models.addresses import AddressRange
from infraflux.config.patterns import MEANINGS
from infraflux.config.shape import item_type

BEGIN, END = "<!-- reference: begin (generated, do not edit) -->", "<!-- reference: end -->"
_WORDS = {
    str: "text", int: "whole number", bool: "true or false", dict: "map", NoneType: "null",
    AddressRange: "addresses (`A-B`, `A/prefix` or `A`)",
}  # fmt: skip


def with_reference(page: str) -> str:
    """The page with the part between its two markers made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{reference()}{END}{after}"


def reference() -> str:
    """Every key of a cluster as Markdown: one table per section, in the order of the models."""
    return "\n".join(_section("", ClusterSpec)) + "\n"


def _section(path: str, model: type[BaseModel]) -> Iterator[str]:
    title = f"`{path}`" if path else "Top level"
    yield f"\n### {title}\n"
    about = (model.__doc__ or "").strip().split("\n")[0]
    if about:
        yield f"{about}\n"
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for name, info in model.model_fields.items():
        yield f"| `{name}` | {_type(info)} | {_default(info)} | {_meaning(name, info)} |"
    for name, info in model.model_fields.items():
        below = _model(info.annotation)
        if below is not None:
            key = f"{path}.{name}" if path else name
            yield from _section(key + (".<name>" if item_type(info.annotation) else ""), below)


def _model(annotation: Any) -> type[BaseModel] | None:
    for one in (item_type(annotation), annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def _type(info: FieldInfo) -> str:
    patterns = [MEANINGS[pattern] for meta in info.metadata if (pattern := getattr(meta, "pattern", None)) in MEANINGS]
    shown = patterns[0].rstrip(",") if patterns else _shown(info.annotation)
    bounds = {name: getattr(meta, name) for meta in info.metadata for name in ("ge", "le") if hasattr(meta, name)}
    if len(bounds) == 2:
        shown += f", {bounds['ge']} to {bounds['le']}"
    elif "ge" in bounds:
        shown += f", {bounds['ge']} or more"
    return shown.replace("|", "\\|")


def _shown(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if item := item_type(annotation):
        return f"list of {_shown(item)}"
    if origin in (Union, UnionType):
        return " or ".join(_shown(one) for one in arguments if one is not NoneType)
    metadata = getattr(annotation, "__metadata__", ())
    patterns = (getattr(meta, "pattern", None) for meta in metadata)
    meaning = next((MEANINGS[pattern].rstrip(",") for pattern in patterns if pattern in MEANINGS), None)
    return meaning or ("text" if metadata else _named(annotation))


def _named(annotation: Any) -> str:
    kind = get_origin(annotation) or annotation
    if kind is Literal:
        return ", ".join(str(one) for one in get_args(annotation))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(str(one.value) for one in kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "section"
    return _WORDS.get(kind, getattr(kind, "__name__", str(kind)))


def _default(info: FieldInfo) -> str:
    if info.default_factory is not None:
        return "derived"
    if info.default is PydanticUndefined:
        return "**required**"
    default = info.default
    if isinstance(default, BaseModel):
        return "see below"
    if default is None or default in ((), {}, ""):
        return "none"
    if isinstance(default, tuple):
        return ", ".join(f"`{one}`" for one in default)
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _meaning(name: str, info: FieldInfo) -> str:
    below = _model(info.annotation)
    about = info.description or (below.__doc__ if below else None) or ("Identifies it." if name == "name" else "")
    text = " ".join(about.split())
    return text.replace("|", "\\|")
