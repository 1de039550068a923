"""Terraform: plans that can be read and bound, applies that keep the state safe."""

from infraflux.adapters.terraform.computed import compute_outputs
from infraflux.adapters.terraform.errors import PlanStale
from infraflux.adapters.terraform.events import Event, EventKind, OnEvent
from infraflux.adapters.terraform.lock import StateLocked
from infraflux.adapters.terraform.plan import Action, Change, PlanSummary, read_plan
from infraflux.adapters.terraform.stack import Applied, Plan, Stack
from infraflux.adapters.terraform.state import Machine, StateHead, StateRefused, parse_state
from infraflux.adapters.terraform.workspace import GLOBALS, Place, Tool
from infraflux.operations.guard import DestructionRefused, Refusal, judge_plan, require_allowed

__all__ = [
    "GLOBALS",
    "Action",
    "Applied",
    "Change",
    "DestructionRefused",
    "Event",
    "EventKind",
    "Machine",
    "OnEvent",
    "Place",
    "Plan",
    "PlanStale",
    "PlanSummary",
    "Refusal",
    "Stack",
    "StateHead",
    "StateLocked",
    "StateRefused",
    "Tool",
    "compute_outputs",
    "judge_plan",
    "parse_state",
    "read_plan",
    "require_allowed",
]
