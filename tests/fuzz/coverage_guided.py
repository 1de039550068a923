"""atheris: bytes that find new paths through the reader and the checks become files of a tree.

python tests/fuzz/coverage_guided.py -max_total_time=60 -seed=1
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["infraflux.config"]):
    from infraflux.config.load import examine

FLEET = Path(__file__).parents[1] / "fixtures" / "fleet"
ROOT = Path(tempfile.mkdtemp(prefix="infraflux-fuzz-")) / "fleet"
PLACES = ("clusters/base/zz-fuzz.yaml", "clusters/overlays/dev/dev-1.yaml", "patches/swappiness.yaml")
MOST_SECONDS = 2.0


def one(data: bytes) -> None:
    """The first byte chooses the file, the rest is what it holds."""
    place = PLACES[data[0] % len(PLACES)] if data else PLACES[0]
    before = (ROOT / place).read_bytes() if (ROOT / place).exists() else None
    (ROOT / place).write_bytes(data[1:])
    began = time.process_time()
    try:
        examine(ROOT)
    finally:
        (ROOT / place).unlink() if before is None else (ROOT / place).write_bytes(before)
    if time.process_time() - began > MOST_SECONDS:
        raise TimeoutError(f"{time.process_time() - began:.1f} s")


def seeds() -> Path:
    """The fixtures as a first corpus: every mistake that is known is a place to begin."""
    corpus = ROOT.parent / "corpus"
    corpus.mkdir()
    for number, file in enumerate([*FLEET.parent.glob("invalid/*.yaml"), *FLEET.parent.glob("valid/*.yaml")]):
        (corpus / str(number)).write_bytes(b"\x01" + file.read_bytes())
    return corpus


if __name__ == "__main__":
    shutil.copytree(FLEET, ROOT)
    artifacts = f"-artifact_prefix={ROOT.parent}/"
    atheris.Setup([*sys.argv, "-rss_limit_mb=600", artifacts, str(seeds())], one)
    atheris.Fuzz()
