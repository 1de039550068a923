"""Files that hold secrets or state: whole or not at all, readable by their owner only unless a mode is given."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def make_private_dir(path: Path) -> Path:
    """Make `path` (and its parents) with 0700; an existing directory of ours is tightened to it."""
    # `parents=True` would give the parents the default mode: each missing one is made on its own.
    for missing in reversed([one for one in (path, *path.parents) if not one.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    path.chmod(0o700)
    return path


def write_private(path: Path, data: bytes | str, *, exclusive: bool = False) -> Path:
    """Write `data` atomically with mode 0600 into a directory with 0700; see `write_whole`."""
    make_private_dir(path.parent)
    return write_whole(path, data, exclusive=exclusive)


def write_whole(path: Path, data: bytes | str, *, mode: int = 0o600, exclusive: bool = False) -> Path:
    """Write `data` atomically: a reader sees the old content or the new, never a part. The directory must be there.

    `exclusive` raises FileExistsError instead of replacing a file.
    """
    content = data.encode() if isinstance(data, str) else data
    # mkstemp makes the file 0600 from the start, whatever the umask.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(mode)
        if exclusive:
            os.link(temporary, path)
        else:
            temporary.replace(path)
            return path
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    temporary.unlink()
    return path


@contextmanager
def built_once(target: Path) -> Iterator[Path]:
    """A private directory beside `target` that becomes it when the body is done: there is never a half of it.

    Where somebody else was faster, theirs stays and this one goes: a target is named by its content.
    """
    building = Path(tempfile.mkdtemp(dir=make_private_dir(target.parent), prefix=".building-"))
    try:
        yield building
        building.rename(target)
    except OSError:
        if not target.exists():
            raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
