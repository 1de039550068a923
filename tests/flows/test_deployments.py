"""Every entry of prefect.yaml: the flow loads, the parameters bind, the environment is bound, schedules parse."""

from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from prefect import Flow
from prefect.client.schemas.schedules import CronSchedule
from prefect.events import Resource, ResourceSpecification
from prefect.server.events.schemas.events import Event
from prefect.server.utilities.user_templates import render_user_template_sync
from prefect.utilities.callables import parameter_schema

from infraflux.adapters.git_head import Head
from infraflux.config.environments import known_environments
from infraflux.config.load import Fleet
from infraflux.config.models.policy import Approval, Disruption, Policy
from infraflux.config.scaffold import UNDECIDED_GIT
from infraflux.core.errors import Permanent
from infraflux.operations.destruction import Destruction
from infraflux.operations.opening import OpenCluster, require_commit, require_git
from infraflux.operations.plan.by_hand import HandAction
from infraflux.service.forms import environment_of, with_clusters
from infraflux.service.register import written_out_file
from infraflux.service.sync import load_wanted
from tasks.configuration import judge_destroy, secret_references
from tasks.engine.agreement import approved_before
from tasks.engine.approval import ApprovalForm, Ask, Question, Refuse, Skip, decide
from tasks.engine.context import cluster_key
from tasks.engine.events import ClusterEvent, resource

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = known_environments(ROOT)
DOCUMENT = written_out_file(ROOT, ENVIRONMENTS)
QUEUES = {
    queue["name"]
    for queue in load_wanted(ROOT / "deployments", pool="infraflux", command="", environments=ENVIRONMENTS).queues
}


def load_flow(entry: dict[str, Any]) -> Flow[..., Any]:
    path, _, name = entry["entrypoint"].partition(":")
    found: Flow[..., Any] = getattr(import_module(path.removesuffix(".py").replace("/", ".")), name)
    return found


def full_name(entry: dict[str, Any]) -> str:
    return f"{Path(entry['entrypoint'].partition(':')[0]).stem}/{entry['name']}"


@pytest.mark.parametrize("entry", DOCUMENT["deployments"], ids=full_name)
class TestEntry:
    def test_the_flow_is_named_as_its_file(self, entry: dict[str, Any]) -> None:
        assert load_flow(entry).name == full_name(entry).partition("/")[0]

    def test_the_parameters_bind(self, entry: dict[str, Any]) -> None:
        flow = load_flow(entry)
        given = entry.get("parameters", {})
        assert flow.validate_parameters(given).items() >= given.items()

    def test_every_parameter_is_flat_and_described(self, entry: dict[str, Any]) -> None:
        for name, field in parameter_schema(load_flow(entry)).properties.items():
            assert field.get("type") in ("string", "boolean", "integer", "number"), name
            assert field.get("description"), name

    def test_the_queue_exists(self, entry: dict[str, Any]) -> None:
        assert entry["work_pool"]["name"] == "infraflux"
        assert entry["work_pool"]["work_queue_name"] in QUEUES

    def test_schedules_parse(self, entry: dict[str, Any]) -> None:
        for schedule in entry.get("schedules", []):
            CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
            assert schedule["slug"]


@pytest.mark.parametrize("flow", ["deploy", "destroy"])
def test_the_stages_are_the_ones_the_architecture_names(flow: str) -> None:
    stages = import_module(f"flows.{flow}").PLANNED
    text = (ROOT / "docs" / "architecture.md").read_text().replace("\n", " ")
    assert " → ".join(stages) in text


def clusters_of(environment: str) -> list[str]:
    return [spec.name for spec in Fleet.load(ROOT).of(environment)]


PARENTS = ("promote", "rollback")
BOUND = [entry for entry in DOCUMENT["deployments"] if environment_of(entry["work_pool"])]


@pytest.mark.parametrize("entry", BOUND, ids=full_name)
def test_a_bound_deployment_is_of_its_environment(entry: dict[str, Any]) -> None:
    environment = environment_of(entry["work_pool"])
    assert entry["enforce_parameter_schema"] is True
    if full_name(entry).partition("/")[0] in PARENTS:
        # It waits for runs on the environment's own queue.
        assert (entry["name"], entry["work_pool"]["work_queue_name"]) == (environment, "control")
        return
    assert entry["work_pool"]["work_queue_name"] == environment
    assert entry["parameters"]["cluster"] in clusters_of(environment)


def test_deploy_destroy_and_operate_exist_for_every_environment() -> None:
    names = {full_name(entry) for entry in DOCUMENT["deployments"]}
    for environment in Fleet.load(ROOT).environments:
        assert {f"{flow}/{environment}" for flow in ("deploy", "destroy", "operate")} <= names


def test_the_form_of_an_operation_offers_the_actions() -> None:
    field = parameter_schema(load_flow(entry_of("operate/dev"))).properties["action"]
    assert field["enum"] == [one.value for one in HandAction]


def entry_of(name: str) -> dict[str, Any]:
    return next(entry for entry in DOCUMENT["deployments"] if full_name(entry) == name)


def sources() -> dict[str, str]:
    """The environment that each environment's releases come from, where they come from one."""
    found = {spec.environment: spec.policy.promotion.source for spec in Fleet.load(ROOT).clusters.values()}
    return {environment: source for environment, source in found.items() if source}


def test_every_environment_with_a_source_is_promoted_by_its_event_and_can_go_back() -> None:
    for environment, source in sources().items():
        (trigger,) = entry_of(f"promote/{environment}")["triggers"]
        assert trigger["match"]["prefect.resource.id"] == f"infraflux.cluster.{source}.*"
        assert trigger["expect"] == [ClusterEvent.VERIFIED.value]
        assert entry_of(f"rollback/{environment}")


def test_what_an_event_missed_is_looked_for_every_hour() -> None:
    for environment in sources():
        (schedule,) = entry_of(f"promote/{environment}")["schedules"]
        assert schedule["parameters"] == {"automatic": True}


EVENT = Event.model_validate(
    {
        "event": ClusterEvent.VERIFIED.value,
        "resource": resource("dev/dev-1", release="r7"),
        "payload": {"release": "r7", "reason": "template is broken"},
        "id": uuid4(),
        "occurred": datetime(2026, 11, 23, tzinfo=UTC),
        "received": datetime(2026, 11, 23, tzinfo=UTC),
    }
).receive()
TRIGGERED = [entry for entry in DOCUMENT["deployments"] if entry.get("triggers")]


@pytest.mark.parametrize("entry", TRIGGERED, ids=full_name)
def test_trigger_templates_render_and_bind(entry: dict[str, Any]) -> None:
    """Rendered as the server renders them: one that fails there starts nothing and tells nobody."""
    flow = load_flow(entry)
    for trigger in entry["triggers"]:
        rendered = {
            name: render_user_template_sync(value, {"event": EVENT}) if isinstance(value, str) else value
            for name, value in trigger["parameters"].items()
        }
        assert str(EVENT.id) in rendered.values()
        assert flow.validate_parameters(rendered).items() >= rendered.items()


def test_an_event_without_a_release_promotes_nothing() -> None:
    match = ResourceSpecification.model_validate(entry_of("promote/staging")["triggers"][0]["match"])
    for labels, expected in (
        (resource("dev/dev-1", release="r7"), True),
        (resource("dev/dev-1"), False),
        (resource("prod/prod-1", release="r7"), False),
    ):
        assert match.matches(Resource(labels)) is expected


def test_a_failed_alert_starts_no_alert() -> None:
    (trigger,) = entry_of("alert/automation")["triggers"]
    match = ResourceSpecification.model_validate(trigger["match"])
    for name, expected in (("promote to staging what dev proved", True), (trigger["name"], False)):
        labels = {"prefect.resource.id": "prefect.automation.1", "prefect.resource.name": name}
        assert match.matches(Resource(labels)) is expected


def test_the_form_offers_the_clusters() -> None:
    schema = {"properties": {"cluster": {"type": "string"}, "dry_run": {"type": "boolean"}}}
    filled = with_clusters(schema, ["a", "b"])
    assert filled["properties"]["cluster"]["enum"] == ["a", "b"]
    assert "enum" not in schema["properties"]["cluster"]
    assert with_clusters({}, ["a"]) == {}


@pytest.mark.parametrize(
    ("cluster", "bound", "key"),
    [("dev-1", "dev", "dev/dev-1"), ("dev/dev-1", "dev", "dev/dev-1"), ("dev/dev-1", "", "dev/dev-1")],
)
def test_cluster_key(cluster: str, bound: str, key: str) -> None:
    assert cluster_key(cluster, bound=bound) == key


@pytest.mark.parametrize(
    ("cluster", "bound", "message"),
    [("prod/prod-1", "dev", "acts in dev only"), ("dev-1", "", "is not <env>/<name>"), ("dev/", "dev", "is not")],
)
def test_no_way_into_another_environment(cluster: str, bound: str, message: str) -> None:
    with pytest.raises(Permanent, match=message):
        cluster_key(cluster, bound=bound)


def asking(
    *, changes: int = 3, ends: int = 0, disruption: Disruption = Disruption.NONE, digest: str = "d1"
) -> Question:
    return Question(digest=digest, summary="", changes=changes, ends=ends, disruption=disruption, markdown="")


FREE, ALWAYS = Approval(), Approval(required=True)
RESTARTS = Approval(from_disruption=Disruption.NODE_RESTART)


@pytest.mark.parametrize(
    ("question", "rules", "given", "kind", "says"),
    [
        pytest.param(asking(), FREE, {}, Skip, "asks for no approval", id="free-environment"),
        pytest.param(asking(), ALWAYS, {}, Ask, "policy asks for approval", id="policy-asks"),
        pytest.param(asking(), ALWAYS, {"auto_approve": True}, Ask, "policy asks", id="policy-is-never-spared"),
        pytest.param(asking(changes=0), ALWAYS, {}, Skip, "changes nothing", id="nothing-to-approve"),
        pytest.param(asking(ends=1), FREE, {}, Ask, "destroys or replaces 1", id="destruction-asks-anywhere"),
        pytest.param(asking(ends=1), FREE, {"auto_approve": True}, Skip, "auto", id="destruction-auto-approved"),
        pytest.param(
            asking(disruption=Disruption.SERVICE_RESTART), RESTARTS, {}, Skip, "no approval", id="below-the-threshold"
        ),
        pytest.param(
            asking(disruption=Disruption.NODE_RESTART),
            RESTARTS,
            {"auto_approve": True},
            Ask,
            "asks from node restart on, and the worst of the plan is node restart",
            id="at-the-threshold",
        ),
        pytest.param(
            asking(disruption=Disruption.DATA_LOST, ends=1), RESTARTS, {}, Ask, "is data lost", id="over-the-threshold"
        ),
        pytest.param(
            asking(changes=0, disruption=Disruption.DATA_LOST), RESTARTS, {}, Skip, "nothing", id="nothing-over-it"
        ),
        pytest.param(asking(), FREE, {"asked": "d1"}, Ask, "asked already", id="resumed-with-the-same-plan"),
        pytest.param(asking(), FREE, {"asked": "d0"}, Refuse, "was d0, it is d1", id="resumed-with-another-plan"),
        pytest.param(asking(changes=0), FREE, {"asked": "d0"}, Refuse, "changed", id="resumed-and-nothing-left-to-do"),
    ],
)
def test_decide_approval(question: Question, rules: Approval, given: dict[str, Any], kind: type, says: str) -> None:
    found = decide(question, rules=rules, **{"auto_approve": False, "asked": "", **given})
    assert isinstance(found, kind)
    assert says in found.reason


def test_an_empty_answer_is_a_rejection() -> None:
    assert ApprovalForm().decision == "reject"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"confirm": ""}, "the confirmation is ''"),
        ({"confirm": "dev-1"}, "not 'dev/dev-1'"),
        ({"protection": "set policy.x"}, "allows no destruction.*set policy.x"),
        ({"protection": "set policy.x", "dry_run": True}, "allows no destruction"),
    ],
)
def test_destruction_is_refused(given: dict[str, Any], message: str) -> None:
    asked = {"cluster": "dev/dev-1", "confirm": "dev/dev-1", "dry_run": False, "protection": "", **given}
    with pytest.raises(Permanent, match=message):
        judge_destroy(**asked)


def test_a_confirmed_destruction_goes_on() -> None:
    assert judge_destroy(cluster="dev/dev-1", confirm="dev/dev-1", dry_run=False, protection="") == "confirmed"
    assert "dry run" in judge_destroy(cluster="dev/dev-1", confirm="", dry_run=True, protection="")


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ({}, ""),
        ({"allow_destroy": False}, "policy.allow_destroy"),
        ({"deletion_protection": True}, "policy.deletion_protection"),
        ({"deletion_protection": True, "allow_destroy": False}, "policy.deletion_protection"),
    ],
)
def test_what_protects_a_cluster_is_known_before_anything_is_touched(policy: dict[str, bool], says: str) -> None:
    found = Policy(**policy).protection
    assert (says in found) if says else found == ""


def test_the_shipped_prod_is_protected_and_the_others_are_not() -> None:
    fleet = Fleet.load(ROOT)
    protected = {key: bool(spec.policy.protection) for key, spec in fleet.clusters.items()}
    assert protected == {"dev/dev-1": False, "staging/staging-1": False, "prod/prod-1": True}


def test_a_dirty_tree_is_refused_where_the_policy_says_so() -> None:
    fleet = Fleet.load(ROOT)
    prod, dev = fleet.cluster("prod/prod-1"), fleet.cluster("dev/dev-1")
    for head in (Head("abc", True), Head("", False)):
        require_commit(dev, head)
        with pytest.raises(Permanent, match="accepts committed changes only"):
            require_commit(prod, head)
    require_commit(prod, Head("abc", False))


def test_nothing_is_made_while_nobody_has_said_what_argo_cd_is_to_read() -> None:
    dev = Fleet.load(ROOT).cluster("dev/dev-1")
    require_git(dev)
    undecided = dev.gitops.platform.model_copy(update={"url": UNDECIDED_GIT})
    gitops = dev.gitops.model_copy(update={"platform": undecided})
    with pytest.raises(Permanent, match=r"gitops\.platform\.url is still to be decided"):
        require_git(dev.model_copy(update={"gitops": gitops}))


def test_every_secret_reference_is_found() -> None:
    found = secret_references(Fleet.load(ROOT).cluster("dev/dev-1"))
    assert "file:.infraflux/lab/credentials/dev.token" in found
    assert "file:.infraflux/age/identity.txt" in found


def test_no_promotion_approves_a_destruction() -> None:
    destruction = Destruction(cluster="dev/dev-1", guests=(), recorded=frozenset())
    assert approved_before(cast(OpenCluster, None), destruction) == ""
