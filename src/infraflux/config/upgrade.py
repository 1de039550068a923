"""Which version steps a cluster may take: pure, from what runs and what is wanted."""

from infraflux.config.matrix import step_problem
from infraflux.config.models.talos import Versions
from infraflux.config.problems import Problem
from infraflux.config.translate import problem_at
from infraflux.config.tree import Value


def upgrade_steps(wanted: Versions, *, previous: Versions) -> dict[str, tuple[str, str]]:
    """What is wrong, and what would be right, by `talos` and `kubernetes`; empty where every step is allowed."""
    steps = {
        "talos": step_problem("Talos", previous.talos, wanted.talos),
        "kubernetes": step_problem("Kubernetes", previous.kubernetes, wanted.kubernetes),
    }
    return {key: step for key, step in steps.items() if step is not None}


def upgrade_problems(wanted: Versions, tree: Value, *, previous: Versions) -> list[Problem]:
    """The refused steps at the line that sets the version."""
    found = upgrade_steps(wanted, previous=previous)
    return [problem_at(tree, ("versions", key), wrong, right) for key, (wrong, right) in found.items()]
