"""Commands that a run starts at set moments."""

import shlex
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from infraflux.config.models.base import Name, Section


class HookStage(StrEnum):
    """When a hook runs."""

    BEFORE_PLAN = "before-plan"
    """Before a deploy looks at anything, so before anybody is asked."""
    BEFORE_APPLY = "before-apply"
    """Before the first change of a deploy, after the approval."""
    AFTER_APPLY = "after-apply"
    """After the last change of a deploy, before it is verified."""
    AFTER_VERIFY = "after-verify"
    """When a deploy has seen the cluster healthy and in sync."""
    BEFORE_DESTROY = "before-destroy"
    """Before the first node is reset, after the approval."""
    AFTER_DESTROY = "after-destroy"
    """When nothing of the cluster is left."""


class OnFailure(StrEnum):
    STOP = "stop"
    WARN = "warn"


def _one_word(text: str) -> str:
    for mark in ("\n", "\r", "\x00"):
        if mark in text:
            raise ValueError(f"{text!r} contains {mark!r}; one line is expected, longer scripts go into a file")
    return text


class Hook(Section):
    """A command that runs start at a set moment."""

    name: Name
    stage: HookStage
    """When it runs."""
    run: tuple[Annotated[str, AfterValidator(_one_word)], ...] = Field(min_length=1)
    """The program and its arguments, as they are: no shell reads them. Never a secret."""
    on_failure: OnFailure = OnFailure.STOP
    """`stop`: the run fails; `warn`: it says so and goes on."""
    timeout_s: int = Field(default=300, ge=1, le=86_400)
    """How long it may take; then it is ended and counts as failed."""

    @property
    def command(self) -> str:
        """For people: the words as a shell would want them."""
        return shlex.join(self.run)
