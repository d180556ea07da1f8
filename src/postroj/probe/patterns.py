"""Regular expressions of a user's, on text of a guest's: matched in a process that can be killed.

Python's re may take longer than the universe has, and cannot be broken off in a thread. A child process can, and what
it may use of the processor and of memory is limited.
"""

import os
import re
import sys
import warnings

from postroj import process
from postroj.errors import HostError, ToolError

LONGEST = 1000
"""How many characters a regular expression may have."""
SECONDS = 5
"""How long it may take, on the whole of a text."""

_MATCHER = os.path.join(os.path.dirname(__file__), "matcher.py")
_MEMORY = 1 << 29


class PatternError(HostError):
    """A regular expression took more time or memory than it may."""


def check(pattern: str) -> str:
    """Return why a regular expression cannot be used; empty if it can.

    It is compiled, and not matched: one of LONGEST characters takes a second at most.
    """
    if len(pattern) > LONGEST:
        return f"it has more than {LONGEST} characters"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of syntax that may change
        try:
            re.compile(pattern, re.MULTILINE)
        except (re.error, OverflowError, RecursionError) as error:
            return str(error)
    return ""


def found(pattern: str, text: str) -> bool:
    """Return whether a regular expression is found in a text; ^ and $ are those of a line. Raises PatternError."""
    import json

    # -I and -S: nothing but the standard library is imported, whatever the user's environment and site have.
    argv = [sys.executable, "-I", "-S", "-W", "ignore", _MATCHER, str(SECONDS), str(_MEMORY)]
    try:
        return process.run(argv, stdin=json.dumps([pattern, text]), timeout=SECONDS + 1).strip() == "yes"
    except ToolError as error:
        what = f"the regular expression {pattern[:80]!r} took more than {SECONDS} s, or than {_MEMORY >> 20} MiB"
        raise PatternError(what) from error
