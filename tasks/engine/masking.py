"""No secret in any log line, state message or artifact of a run.

The adapters mask what they print. This is the second wall: a filter with the known secret values of the cluster, fed
as they become known, in front of everything Prefect stores.
"""

import logging
from collections.abc import Callable, Collection

from prefect.exceptions import ExternalSignal

from infraflux.core.errors import ErrorClass, InfrafluxError
from infraflux.core.program_output import Masker

SHORTEST = 6
"""Values below this length would mask ordinary words."""


class _Known:
    """The values of this process; a run is a process of its own."""

    def __init__(self) -> None:
        self.values: set[str] = set()
        self.mask = Masker(())

    def add(self, values: Collection[str]) -> None:
        new = {value for value in values if len(value) >= SHORTEST} - self.values
        if new:
            self.values |= new
            self.mask = Masker(self.values)


_known = _Known()


def add_secrets(values: Collection[str]) -> None:
    """From now on these are masked."""
    _known.add(values)


def masked(text: str) -> str:
    """The text without the secrets known so far."""
    return _known.mask(text)


def mask_logs() -> None:
    """From now on every log record of this process is masked before any handler sees it, tracebacks included.

    An error that says what to do about it is logged without a traceback: that is for defects. Stays until the process
    ends, since Prefect logs the end of a run after the flow's own code is left.
    """
    before = logging.getLogRecordFactory()
    if isinstance(before, _MaskingFactory):
        return
    logging.setLogRecordFactory(_MaskingFactory(before))


class _MaskingFactory:
    """A log record factory around the one that was there."""

    def __init__(self, before: Callable[..., logging.LogRecord]) -> None:
        self.before = before
        self._formatter = logging.Formatter()

    def __call__(self, *args: object, **kwargs: object) -> logging.LogRecord:
        record = self.before(*args, **kwargs)
        if is_expected(record.exc_info[1] if record.exc_info else None):
            record.exc_info = None
        if _known.values:
            record.msg, record.args = masked(record.getMessage()), ()
        if _known.values and record.exc_info:
            # Formatters print `exc_text` where it is set, and do not look at the exception again.
            record.exc_text = masked(self._formatter.formatException(record.exc_info))
        return record


def is_expected(error: BaseException | None) -> bool:
    """An error of the family that is no defect of ours, or a signal: its message says all there is to say."""
    if isinstance(error, ExternalSignal):
        return True
    return isinstance(error, InfrafluxError) and error.error_class is not ErrorClass.INTERNAL


def masked_error(error: Exception, *, cluster: str = "") -> Exception:
    """The error as it may be shown and stored: located, and without secrets; the same object where it was clean."""
    if isinstance(error, InfrafluxError):
        error.located(cluster=cluster)
        clean = masked(error.message)
        if clean != error.message:
            error.message = clean
            error.args = (clean,)
            error.__cause__ = error.__context__ = None
        return error
    text = str(error)
    return error if masked(text) == text else RuntimeError(f"{type(error).__name__}: {masked(text)}")
