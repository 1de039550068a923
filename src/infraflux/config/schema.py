"""JSON Schema of every kind of YAML file, for editors: the models, with everything optional because layers add up."""

import json
from collections.abc import Mapping
from typing import Any

from infraflux.config.layers import ENVIRONMENT_ONLY, FROM_THE_PATH, OVERLAY_ONLY
from infraflux.config.models import ClusterSpec
from infraflux.config.tree import DELETE_KEY

KINDS: Mapping[str, str] = {
    "defaults": "config/defaults/*.yaml: what holds everywhere",
    "base": "clusters/base/*.yaml: what every cluster is made of",
    "template": "clusters/templates/<size>.yaml: how big a cluster is",
    "environment": "config/environments/<env>.yaml: where an environment's machines live, and what is allowed there",
    "overlay": "clusters/overlays/<env>/<cluster>.yaml: one cluster",
    "cluster": "a whole cluster, as `infraflux config show --output json` prints it",
}
DIRECTORY = "config/schema"
_REMOVAL = {DELETE_KEY: {"const": "delete", "description": "Removes the inherited item of this name."}}


def schema_of(kind: str) -> dict[str, Any]:
    """The schema of one kind of file."""
    schema = ClusterSpec.model_json_schema(mode="validation")
    schema |= {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"InfraFlux {kind}"}
    schema["description"] = KINDS[kind]
    if kind == "cluster":
        return schema
    for section in (schema, *schema["$defs"].values()):
        _relax(section)
    misplaced = (OVERLAY_ONLY if kind != "overlay" else ()) + (ENVIRONMENT_ONLY if kind != "environment" else ())
    for key in (*FROM_THE_PATH, DELETE_KEY, *misplaced):
        schema["properties"].pop(key)
    del schema["required"]
    return schema


def _relax(section: dict[str, Any]) -> None:
    """Nothing is required but the name that identifies a list's item; every value may be null, which removes it."""
    properties = section.get("properties")
    if properties is None:
        return
    required = [key for key in section.pop("required", []) if key == "name"]
    for key, value in properties.items():
        value.pop("default", None)
        if key not in required:
            properties[key] = _nullable(value)
    if required:
        section["required"] = required
        properties |= _REMOVAL


def _nullable(value: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {key: value.pop(key) for key in ("description", "title", "examples") if key in value}
    options = value["anyOf"] if set(value) == {"anyOf"} else [value]
    options = [*(one for one in options if one.get("type") != "null"), {"type": "null"}]
    return {**about, "anyOf": options}


def schema_files() -> dict[str, str]:
    """Every schema by its path below the repository root; equal models give equal bytes."""
    return {f"{DIRECTORY}/{kind}.json": json.dumps(schema_of(kind), indent=2, sort_keys=True) + "\n" for kind in KINDS}


def modeline(kind: str, *, depth: int) -> str:
    """The first line of a YAML file that lets editors find its schema, `depth` directories below the root."""
    return f"# yaml-language-server: $schema={'../' * depth}{DIRECTORY}/{kind}.json"
