"""What several commands share."""

import argparse
import os
import sys

from postroj.errors import UsageError


def require_root() -> None:
    """Raise UsageError unless we are root: namespaces, mounts and cgroups of a machine are root's to make."""
    if os.geteuid() != 0:
        words = " ".join(sys.argv[1:3])
        raise UsageError("this needs root, to make namespaces, mounts and cgroups", hint=f"sudo postroj {words} …")


def seconds(text: str) -> float:
    """Return a number of seconds above 0: the type of an option."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1e6:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds above 0")
    return value


def seconds_or_zero(text: str) -> float:
    """Return a number of seconds, 0 included: the type of an option."""
    try:
        return 0.0 if float(text) == 0 else seconds(text)
    except ValueError:
        return seconds(text)
