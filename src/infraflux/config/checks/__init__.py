"""What types cannot say: rules over several values of one cluster. One function per truth, named by it."""

from infraflux.config.checks.finding import CHECKS, Finding, run_checks
from infraflux.config.checks.machines import *  # noqa: F403
from infraflux.config.checks.network import *  # noqa: F403
from infraflux.config.checks.platform import *  # noqa: F403
from infraflux.config.checks.talos import *  # noqa: F403
from infraflux.config.checks.versions import *  # noqa: F403

__all__ = ["CHECKS", "Finding", "run_checks"]
