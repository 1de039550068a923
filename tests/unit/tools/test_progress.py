"""What a user sees: lines in a log that never go quiet for long, bars on a terminal."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from rich.console import Console

from infraflux.adapters.tools.progress import Compiling, Failed, Fetching, Installed, Note, Started, Taken
from infraflux.cli.tools_progress import BarListener, LineListener

HERE = Path("/cache/alpha")


def test_lines() -> None:
    now = [0.0]
    stream = StringIO()
    with LineListener(stream, clock=lambda: now[0]) as listen:
        listen(Note(text="Go 1.27.3 at /bin/go"))
        listen(Taken(name="gamma", version="4.5.6", source="path", path=Path("/bin/gamma")))
        listen(Started(name="alpha", version="1.2.3", reason="not there yet"))
        listen(Fetching(name="alpha", module="example.org/library v1.0.0"))
        for now[0], done in ((5.0, 10), (21.0, 40), (30.0, 50), (42.0, 100)):
            listen(Compiling(name="alpha", package="example.org/x", done=done, total=100))
        listen(Installed(name="alpha", version="1.2.3", seconds=43.4, path=HERE))
        listen(Failed(name="beta", reason="no [space]"))
    assert stream.getvalue().splitlines() == [
        "Go 1.27.3 at /bin/go",
        "gamma 4.5.6: path, /bin/gamma",
        "alpha 1.2.3: building (not there yet)",
        "alpha: 40/100 packages, example.org/x",
        "alpha: 100/100 packages, linking",
        "alpha 1.2.3: built in 43 s",
        "beta: FAILED: no [space]",
    ]


def test_bars() -> None:
    stream = StringIO()
    console = Console(file=stream, force_terminal=True, width=140, color_system=None)
    with BarListener(console) as listen:
        listen(Started(name="alpha", version="1.2.3", reason="not there yet"))
        listen(Fetching(name="alpha", module="example.org/library v1.0.0"))
        listen(Compiling(name="alpha", package="example.org/x", done=40, total=100))
        listen.progress.refresh()
        listen(Failed(name="beta", reason="no [space]"))
        listen(Installed(name="alpha", version="1.2.3", seconds=43.4, path=HERE))
    shown = stream.getvalue()
    assert " 40/100" in shown
    assert "example.org/x" in shown
    assert "beta: FAILED: no [space]" in shown
    assert "alpha 1.2.3: built in 43 s" in shown
