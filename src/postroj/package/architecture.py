"""Words for architectures, of which each package format has its own."""

from collections.abc import Mapping


def own(word: str, foreign: Mapping[str, str]) -> str:
    """Return a format's own word for an architecture; `foreign` has it for the words of others, in lower case."""
    lower = word.lower()
    return foreign.get(lower, lower)


def fault(word: str, foreign: Mapping[str, str], whose: str) -> str:
    """Return what is wrong with a package's word for its architecture, if it is that of another format; else nothing.

    `foreign` are such words, in lower case, with the right ones; `whose` is who has these.
    """
    known = own(word, foreign)
    return f"is for {word}, which {whose} calls {known}" if known != word else ""
