"""The units that an installation says it could not start."""

import re
from collections.abc import Sequence

from postroj.family.reason import LONGEST_LINE

_UNIT = r"([A-Za-z0-9:_.\\@-]{1,255}\.(?:service|socket|timer|path|mount))"
_OF_UNITS = re.compile(
    r"(?:Job for|dependency job for|Assertion failed on job for|Failed to (?:re)?(?:start|load|enable)(?: unit,)?) "
    + _UNIT
    + r"|Unit (?:file )?(?:/[^\s:]*/)?"
    + _UNIT
    + r" is masked"
)
_ABOUT_UNITS = re.compile(
    r"Job for \S|job for|Job failed\. See|Failed to (?:re)?start|is masked\.|execute systemctl|invoke-rc\.d"
)

_LAST = 50
"""How many lines of an output are looked at for the reason of its end."""


def units_of(what: str, output: str) -> list[str] | None:
    """Return the units that systemctl says it could not start, the newest first; None if it is not that what failed.

    `what` is the reason that was found, `output` all that was printed.
    """
    if not _ABOUT_UNITS.search(what):
        return None
    return not_started(output.splitlines()[-_LAST:])


def not_started(lines: Sequence[str]) -> list[str]:
    """Return the units that lines say systemctl could not start, the newest first."""
    named = [found[1] or found[2] for line in lines for found in _OF_UNITS.finditer(line[:LONGEST_LINE])]
    return list(dict.fromkeys(reversed(named)))
