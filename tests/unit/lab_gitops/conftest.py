from typing import Any

import pytest


class Events:
    """Ground truth of what happened, as the lab's own log keeps it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def emit(self, source: str, kind: str, **fields: Any) -> None:
        self.seen.append((f"{source} {kind}", fields))


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
