"""Private files are whole, 0600, and never replaced where that is refused."""

import os
from pathlib import Path

import pytest

from infraflux.core.files import built_once, make_private_dir, write_private, write_whole


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_file_and_directory_are_private_under_any_umask(tmp_path: Path):
    old = os.umask(0)
    try:
        path = write_private(tmp_path / "a" / "secret", "x")
    finally:
        os.umask(old)
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)


def test_a_wide_open_directory_is_tightened(tmp_path: Path):
    (tmp_path / "d").mkdir(mode=0o755)
    assert mode(make_private_dir(tmp_path / "d")) == 0o700


def test_replacing_keeps_one_file(tmp_path: Path):
    write_private(tmp_path / "f", "old")
    write_private(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_failed_write_keeps_the_old_content_and_leaves_no_rest(tmp_path: Path):
    write_whole(tmp_path / "f", "old")
    with pytest.raises(TypeError):
        write_whole(tmp_path / "f", 1)  # type: ignore[arg-type]
    assert (tmp_path / "f").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize("wanted", [0o600, 0o644])
def test_a_file_gets_the_mode_that_is_asked_for(wanted: int, tmp_path: Path):
    assert mode(write_whole(tmp_path / "f", "x", mode=wanted)) == wanted


def test_exclusive_never_replaces_and_leaves_no_rest(tmp_path: Path):
    write_private(tmp_path / "f", "old", exclusive=True)
    with pytest.raises(FileExistsError):
        write_private(tmp_path / "f", "new", exclusive=True)
    assert (tmp_path / "f").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_missing_parents_are_private_too(tmp_path: Path) -> None:
    make_private_dir(tmp_path / "a" / "b" / "c")
    for path in (tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"):
        assert path.stat().st_mode & 0o777 == 0o700


def test_a_directory_is_there_whole_or_not_at_all(tmp_path: Path):
    with built_once(tmp_path / "d" / "made") as building:
        (building / "a").write_text("1")
        assert not (tmp_path / "d" / "made").exists()
    assert mode(tmp_path / "d" / "made") == 0o700
    with pytest.raises(ZeroDivisionError), built_once(tmp_path / "d" / "other"):
        raise ZeroDivisionError
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["made"]


def test_the_faster_one_wins(tmp_path: Path):
    with built_once(tmp_path / "made") as slow:
        (slow / "who").write_text("slow")
        with built_once(tmp_path / "made") as fast:
            (fast / "who").write_text("fast")
    assert (tmp_path / "made" / "who").read_text() == "fast"
