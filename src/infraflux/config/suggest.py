"""The nearest valid word."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """`did you mean memory_mib?`, or the list of what is allowed."""
    words = list(allowed)
    near = get_close_matches(word, words, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    return f"one of {', '.join(words)} is expected" if words else "nothing is allowed here"
