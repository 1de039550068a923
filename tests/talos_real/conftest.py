"""One cluster of real nodes for the whole session; each test takes it as the one before left it."""

import os
from collections.abc import Iterator

import pytest
from labkit import real_talos
from labkit.real_talos import RealProject, Traces, traces

from infraflux_lab import lifecycle


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealProject]:
    if missing := real_talos.what_is_missing():
        pytest.skip("; ".join(missing))
    real_talos.enter_network_namespace()
    octet = os.environ.get("INFRAFLUX_TEST_OCTET", "78")
    made = real_talos.make_project(tmp_path_factory.mktemp("real") / "project", octet=octet)
    try:
        yield made
    finally:
        lifecycle.reset(made.lab.root)


@pytest.fixture(scope="session")
def before(project: RealProject) -> Traces:
    """The machine before the lab's first start."""
    return traces(project.layout)


@pytest.fixture(scope="session")
def started(project: RealProject, before: Traces) -> RealProject:
    """The project with its lab up."""
    project.up()
    return project


@pytest.fixture(scope="session")
def deployed(started: RealProject) -> RealProject:
    """The project after a whole deploy: machines, Talos, Cilium, Argo CD, handed over and verified."""
    started.deploy()
    return started


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How long each command took."""
    for line in real_talos.SAID:
        terminalreporter.write_line(line)
