"""What a check expects, as it is written: KEY=VALUE, KEY!=VALUE, KEY~=REGEX, KEY!~=REGEX."""

import re
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

_SHOWN = 80
_BIGGEST = 2**32
_OF_WINDOWS = re.compile(r"[A-Za-z]:\\.")
_RANGE = re.compile(r"([0-9]{1,10})(?:-([0-9]{0,10}))?")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}")


class Text(NamedTuple):
    """A text that something must be, or a regular expression that must be found in it; or neither, with `!`."""

    operator: str
    value: str

    def __str__(self) -> str:
        return self.value

    @property
    def is_negated(self) -> bool:
        """Return whether it says what must not be."""
        return self.operator.startswith("!")

    def fits(self, actual: str) -> bool:
        """Return whether a text is as expected. Raises PatternError."""
        if self.operator in ("=", "!="):
            return (actual == self.value) != self.is_negated
        from postroj.probe.patterns import found

        return found(self.value, actual) != self.is_negated

    def expected(self) -> str:
        """Return what was expected, for a sentence."""
        if self.operator in ("~=", "!~="):
            return f"{'no ' if self.is_negated else 'a '}match of {self.value!r}"
        return f"{'not ' if self.is_negated else ''}{self.value}"


class Numbers(NamedTuple):
    """Numbers that are right, as ranges of which both ends count; or wrong, with `!=`."""

    operator: str
    text: str
    ranges: tuple[tuple[int, int], ...]

    def __str__(self) -> str:
        return self.text

    def fits(self, actual: int) -> bool:
        """Return whether a number is as expected."""
        return any(low <= actual <= high for low, high in self.ranges) != (self.operator == "!=")

    def expected(self) -> str:
        """Return what was expected, for a sentence."""
        words = [re.sub("-$", " or more", word) for word in self.text.split(",")]
        return f"{'not ' if self.operator == '!=' else ''}{' or '.join(words)}"


class Named(NamedTuple):
    """What is expected of one of many values that have names, such as a header."""

    name: str
    text: Text

    @property
    def operator(self) -> str:
        """The operator, as it is written."""
        return self.text.operator

    def __str__(self) -> str:
        return f"{self.name}={self.text}"


class Key(NamedTuple):
    """How the subject or a setting of a check is written."""

    read: Callable[[str, str], Any]
    """Makes the value of an operator and a text. Raises ValueError, with the rest of a sentence about the word."""
    example: str
    """How it may be written."""
    means: str
    """What it says, for the documentation."""
    operators: tuple[str, ...] = ("=",)
    repeatable: bool = False
    required: bool = False


TEXT = ("=", "!=", "~=", "!~=")
NUMBER = ("=", "!=")


def text(operator: str, written: str) -> Text:
    """Read a text, or a regular expression."""
    if operator in ("~=", "!~="):
        from postroj.probe.patterns import check

        if not written:
            raise ValueError("has an empty regular expression")
        if why := check(written):
            raise ValueError(f"is not a regular expression: {why}")
    return Text(operator, written)


def named(operator: str, written: str) -> Named:
    """Read NAME=TEXT."""
    name, is_pair, value = written.partition("=")
    if not is_pair or not _NAME.fullmatch(name):
        raise ValueError("is not NAME=VALUE")
    return Named(name, text(operator, value))


def numbers(what: str = "a number", low: int = 0, high: int = _BIGGEST) -> Callable[[str, str], Numbers]:
    """Return what reads numbers and ranges of them: `200`, `200,204`, `200-299`, `1-` (one or more)."""

    def read(operator: str, written: str) -> Numbers:
        ranges = []
        for word in written.split(","):
            if not (found := _RANGE.fullmatch(word)):
                raise ValueError(f"is not {what}")
            first = int(found[1])
            last = first if found[2] is None else int(found[2]) if found[2] else high
            if not low <= first <= last <= high:
                raise ValueError(f"is not {what}")
            ranges.append((first, last))
        return Numbers(operator, written, tuple(ranges))

    return read


def yes_or_no(operator: str, written: str) -> bool:
    """Read yes or no."""
    if written not in ("yes", "no"):
        raise ValueError("is neither yes nor no")
    return written == "yes"


def one_of(*words: str) -> Callable[[str, str], Text]:
    """Return what reads one of some words."""

    def read(operator: str, written: str) -> Text:
        if written not in words:
            raise ValueError(f"is none of {', '.join(words)}")
        return Text(operator, written)

    return read


def like(pattern: str, what: str) -> Callable[[str, str], str]:
    """Return what reads a word that a pattern allows; `what` is said of others: `cannot be a user's name`."""
    compiled = re.compile(pattern)

    def read(operator: str, written: str) -> str:
        if not compiled.fullmatch(written):
            raise ValueError(what)
        return written

    return read


def path(operator: str, written: str) -> str:
    """Read an absolute path, of a Unix or of Windows."""
    if not written.startswith("/") and not _OF_WINDOWS.match(written):
        raise ValueError("is not an absolute path")
    return written


def _seconds(operator: str, written: str) -> float:
    try:
        value = float(written)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1e6:
        raise ValueError("is not a number of seconds above 0")
    return value


Timeout = Annotated[float | None, Key(_seconds, "timeout=5", "seconds until the check must pass")]

USER = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\$?"
"""What can be a user's or a group's name, or number."""


def shown(value: object) -> str:
    """Return a value that was found, short and in one line."""
    written = str(value)
    cut = written if len(written) <= _SHOWN else written[: _SHOWN - 1] + "…"
    return cut if cut.isprintable() and cut == cut.strip() and cut else repr(cut)


def wrong(key: str, expected: "Text | Numbers", actual: Any) -> str:
    """Return how a value differs from what is expected, as a clause; empty if it does not. Raises PatternError."""
    return "" if expected.fits(actual) else f"{key}: expected {expected.expected()}, got {shown(actual)}"
