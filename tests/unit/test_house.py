"""The house stays as it was laid out."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_data_directories_hold_no_python():
    """`platform/__init__.py` would shadow the standard library and `import prefect` would fail."""
    found = [path for name in ("config", "clusters", "platform", "terraform") for path in (ROOT / name).rglob("*.py")]
    assert found == []


def test_platform_stays_the_standard_library_with_the_root_first_on_the_path():
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import platform; print(platform.machine())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip()
