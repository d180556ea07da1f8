"""What several commands share."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from postroj import privileges
from postroj.errors import UsageError

T = TypeVar("T")

_NUMBER = r"([0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})(e[+-]?[0-9]{1,3})?"
_SECONDS = "a number of seconds"
_MOST_SECONDS = 1_000_000
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def print_removed(removed: Sequence[str], verb: str = "removed") -> None:
    """Print what was removed, one a line, or that there was nothing."""
    for what in removed:
        print(f"{verb} {what}")
    if not removed:
        print("nothing to remove")


def require_root() -> None:
    """Raise UsageError, with the command line for sudo, unless we are root."""
    privileges.require_root(f"sudo postroj {' '.join(sys.argv[1:3])} …")


def typed(read: Callable[[str], T]) -> Callable[[str], T]:
    """Return the type of an option for a function that raises UsageError; argparse then names the option."""

    def convert(text: str) -> T:
        try:
            return read(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(error.what) from error

    return convert


def out_of_range(text: str, what: str, least: str, most: str) -> argparse.ArgumentTypeError:
    """Return the error for the value of an option that is not `what`, or is too small or too large."""
    return argparse.ArgumentTypeError(f"'{text[:80]}' is not {what}: write {least} to {most}")


def number(text: str, what: str, least: float, most: float) -> float:
    """Return a decimal number as the value of an option; `what` says what it is. Raises ArgumentTypeError."""
    value = float(text) if re.fullmatch(_NUMBER, text) else -1.0
    if not least <= value <= most:
        raise out_of_range(text, what, f"{least:g}", f"{most:.0f}")
    return value


def seconds(text: str) -> float:
    """Return a number of seconds above 0: the type of an option."""
    return number(text, _SECONDS, 0.001, _MOST_SECONDS)


def duration(text: str) -> float:
    """Return a time such as 90s, 30m, 1h or 2d in seconds: the type of an option."""
    found = re.fullmatch(r"([0-9]{1,7})([smhd])", text)
    value = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 1 <= value <= _MOST_SECONDS:
        raise out_of_range(text, "a duration", "1s", "11d, as in 90s, 30m or 1h")
    return float(value)


def seconds_or_zero(text: str) -> float:
    """Return a number of seconds, 0 included: the type of an option."""
    return number(text, _SECONDS, 0, _MOST_SECONDS)
