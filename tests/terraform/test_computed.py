"""The provider-free part of the cluster stack: what it computes, and how it says no."""

import json
from pathlib import Path

import pytest
from fakes.specs import make_spec

from infraflux.adapters.terraform.computed import compute_outputs
from infraflux.adapters.terraform.workspace import Tool
from infraflux.adapters.tools.locate import locate
from infraflux.core.errors import Permanent
from infraflux.render.terraform import render_cluster, to_tfvars

SOURCE = Path(__file__).parents[2] / "terraform"

pytestmark = pytest.mark.tools


def compute(variables: str):
    # No mirror: nothing may be asked for a provider.
    return compute_outputs(variables, source=SOURCE, tool=Tool(binary=locate("terraform")), label="dev/dev-1")


def test_the_values_of_a_cluster_need_neither_provider_nor_state():
    spec = make_spec()
    values = compute(to_tfvars(render_cluster(spec)))["platform"]["values"]
    assert values["cilium"]["ipv4NativeRoutingCIDR"] == str(spec.network.pod_cidr)
    assert set(values) == {"cilium", "argocd"}


def test_what_terraform_refuses_is_told_in_its_words():
    variables = json.loads(to_tfvars(render_cluster(make_spec())))
    variables["platform"]["cluster_id"] = 0
    with pytest.raises(Permanent, match=r"cluster\.id must be a whole number") as told:
        compute(json.dumps(variables))
    assert told.value.cluster == "dev/dev-1"
