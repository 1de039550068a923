"""What a rollout needs of nodes that go out of service and come back, without a Kubernetes."""

from types import SimpleNamespace
from typing import cast

from infraflux.config.models.policy import Rollout as Rules
from infraflux.core.outcomes import Done
from infraflux.operations.leaving import NodeExit


def node_exit(rules: Rules, said: list[str]) -> NodeExit:
    """Drains and takes back at once; `said` keeps who, in order."""

    def take_back(name: str) -> Done:
        said.append(f"uncordon {name}")
        return Done(f"{name} is in service again")

    found = SimpleNamespace(rules=rules, drain=lambda name: said.append(f"drain {name}"), take_back=take_back)
    return cast(NodeExit, found)
