"""The units that an installation says it could not start."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

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

_JOB = re.compile(rf"^ *[0-9]+ {_UNIT} +(?:re)?start +running", re.MULTILINE)

_ENDLESS_SECONDS = 600.0
"""A start without a limit that takes longer is none that ends: systemd's own limit is 90 seconds."""
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


class Starting(NamedTuple):
    """A unit whose start is not finished."""

    name: str
    kind: str
    """Its Type=."""
    state: str
    """As systemctl shows it: `activating (start)`."""
    has_limit: bool
    """Whether systemd ends the start some day."""
    seconds: float
    """How long it has taken so far."""

    @property
    def told(self) -> str:
        """What it is, in a sentence."""
        told = f"the start of {self.name}, which is {self.state} since {self.seconds:.0f} s"
        return (
            told if self.has_limit else f"{told}, and has no limit of time (Type={self.kind} without TimeoutStartSec=)"
        )

    @property
    def is_endless(self) -> bool:
        """Return whether it cannot be expected to end."""
        return not self.has_limit and self.seconds >= _ENDLESS_SECONDS


def starting(ask: Callable[[Sequence[str]], str]) -> Starting | None:
    """Return the one unit that systemd starts right now; None if it starts none, or several.

    `ask` runs a command in the guest.
    """
    jobs = _JOB.findall(ask(["systemctl", "list-jobs", "--no-legend", "--no-pager"]))
    if len(jobs) != 1:  # it is not known which of several is waited for
        return None
    (name,) = jobs
    properties = "Type,ActiveState,SubState,TimeoutStartUSec,InactiveExitTimestamp"
    told = ask(["systemctl", "show", "--timestamp=unix", f"--property={properties}", "--", name])
    values = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    state = f"{values.get('ActiveState', 'activating')} ({values.get('SubState', 'start')})"
    has_limit = values.get("TimeoutStartUSec", "") != "infinity"
    now, begun = _number(ask(["date", "+%s"])), _number(values.get("InactiveExitTimestamp", "").lstrip("@"))
    return Starting(name, values.get("Type", ""), state, has_limit, max(0.0, now - begun) if begun else 0.0)


def _number(text: str) -> float:
    found = re.match(r"[0-9]{1,20}(?:\.[0-9]{1,9})?", text)
    return float(found[0]) if found else 0.0
