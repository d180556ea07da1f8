"""What msgspec says of a wrong value, in the words of TOML."""

import re
from collections.abc import Sequence

import msgspec

from postroj.plan.model import NAME, NOT_BLANK

_MOST_NAMES = 5
_NAME = "of 1 to 100 letters, digits, and _ . + @ ~ -, which begins with a letter, a digit or _"
_WORDS = {"array": "a list", "str": "a text", "object": "a table", "float": "a number", "int": "a whole number",
          "bool": "true or false", "null": "nothing"}  # fmt: skip
"""What msgspec calls the types of TOML."""


def plain(told: str) -> str:
    """Return it: `must be a number, and is a text`."""

    def word(found: re.Match[str]) -> str:
        return " or ".join(_WORDS.get(one.strip(), one.strip()) for one in found[1].split("|"))

    return (
        re.sub("`([a-z |]+)`", word, told)
        .replace("Expected ", "must be ", 1)
        .replace(", got ", ", and is ", 1)
        .replace("of length >= 1", "that is not empty")
        .replace(f"matching regex '{NAME}'", _NAME)
        .replace(f"matching regex {NOT_BLANK!r}", "that is not empty")
    )


def of_text(error: msgspec.ValidationError) -> str:
    """Return what is wrong with a text of the command line, or of a variable, that stands for a value."""
    return plain(str(error).partition(", got ")[0])


def some(names: Sequence[str]) -> str:
    """Return names for a sentence, the first of them if there are many."""
    more = len(names) - _MOST_NAMES
    return f"{', '.join(names[:_MOST_NAMES])} and {more:,} more" if more > 0 else ", ".join(names)


def counted(count: int, what: str) -> str:
    """Return how many there are of something that is said in English: 1 cell, 2,000 cells."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
