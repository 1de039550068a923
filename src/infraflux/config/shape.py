"""What the models say about a path: which section is there, which field."""

from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from infraflux.config.problems import Path


def field_at(model: type[BaseModel], path: Path) -> FieldInfo | None:
    """The field a path of the configuration sets, or None: a list's items and free-form keys have none."""
    section = section_at(model, path[:-1]) if path else None
    return section.model_fields.get(str(path[-1])) if section else None


def section_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The section at a path; items of lists are named or numbered."""
    annotation: Any = model
    for part in path:
        annotation = _below(annotation, part)
    return _section(annotation)


def _below(annotation: Any, part: str | int) -> Any:
    if item := item_type(annotation):
        return item
    section = _section(annotation)
    info = section.model_fields.get(str(part)) if section else None
    return info.annotation if info else None


def item_type(annotation: Any) -> Any:
    """What a `tuple[X, ...]` holds, or None."""
    for one in (annotation, *get_args(annotation)):
        if get_origin(one) is tuple:
            return get_args(one)[0]
    return None


def _section(annotation: Any) -> type[BaseModel] | None:
    """The model in `Model` or `Model | None`."""
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None
