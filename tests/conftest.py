"""What every suite says at its end."""

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A test that was repeated says why: a repetition may fail otherwise, or pass and hide what there is to mend."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"first attempt of {report.nodeid}")
        terminalreporter.write_line(report.longreprtext[-6000:])
