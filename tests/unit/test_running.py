"""Only an error that says so is repeated."""

import asyncio

import pytest
from prefect.states import Completed, exception_to_failed_state

from infraflux.core.errors import Permanent, Retryable
from tasks.engine.step import a_retry_can_help

CASES = {
    "transient": (Retryable("Proxmox answered 596"), True),
    "user's mistake": (Permanent("no such cluster"), False),
    "defect": (KeyError("name"), False),
}


@pytest.mark.parametrize(("error", "expected"), CASES.values(), ids=CASES.keys())
def test_the_class_of_the_error_decides(error: Exception, expected: bool):
    state = asyncio.run(exception_to_failed_state(error))
    assert a_retry_can_help(None, None, state) is expected


def test_success_is_not_repeated():
    assert a_retry_can_help(None, None, Completed(data=1)) is False
