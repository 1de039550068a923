"""The list of checks is written out; none that was written may be missing from it."""

import importlib
import pkgutil

from infraflux.config import checks
from infraflux.config.checks.finding import Check


def test_every_check_that_is_written_is_listed_once():
    modules = [
        importlib.import_module(f"{checks.__name__}.{one.name}") for one in pkgutil.iter_modules(checks.__path__)
    ]
    written = [value for module in modules for value in vars(module).values() if isinstance(value, Check)]
    assert len(written) > 20
    assert sorted(check.rule.__name__ for check in checks.CHECKS) == sorted(check.rule.__name__ for check in written)
