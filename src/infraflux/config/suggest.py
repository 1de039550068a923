"""The nearest valid word."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, allowed: Iterable[str]) -> str | None:
    """The allowed word that is most like this one; None where none is."""
    return next(iter(get_close_matches(word, list(allowed), n=1, cutoff=0.6)), None)


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """`did you mean memory_mib?`, or the list of what is allowed."""
    words = list(allowed)
    if near := nearest(word, words):
        return f"did you mean {near}?"
    return f"one of {', '.join(words)} is expected" if words else "nothing is allowed here"
