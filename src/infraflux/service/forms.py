"""The Run form of each deployment: which clusters its environment has."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.service.api import PrefectApi


def with_clusters(schema: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The parameter schema with the cluster as a list to choose from (pure); unchanged where it takes no cluster."""
    result: dict[str, Any] = copy.deepcopy(dict(schema))
    field = result.get("properties", {}).get("cluster")
    if field is not None and names:
        field["enum"] = list(names)
    return result


def environment_of(deployment: Mapping[str, Any]) -> str:
    """The environment that the deployment's job variables bind it to; empty where they bind none."""
    return str(((deployment.get("job_variables") or {}).get("env") or {}).get("INFRAFLUX_ENVIRONMENT", ""))


def fill_forms(api: PrefectApi, clusters: Sequence[str]) -> Outcome:
    """Offer each bound deployment the clusters of its environment."""
    changed = []
    for deployment in api.post("/deployments/filter", {"limit": 200}):
        environment = environment_of(deployment)
        names = [key.partition("/")[2] for key in clusters if key.startswith(f"{environment}/")]
        wanted = with_clusters(deployment["parameter_openapi_schema"] or {}, names)
        if environment and wanted != deployment["parameter_openapi_schema"]:
            api.patch(f"/deployments/{deployment['id']}", {"parameter_openapi_schema": wanted})
            changed.append(deployment["name"])
    return Done(f"filled {len(changed)} forms") if changed else Noop("every form offers the clusters there are")
