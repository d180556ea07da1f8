"""Ordering cycles: units that a boot cannot start in any order, of which systemd drops one."""

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from postroj.contract import Machine
from postroj.probe import evidence

_UNIT = r"([A-Za-z0-9:_.\\@-]{1,255}\.[a-z]{4,9})/(?:start|verify-active)\b"
_BEGINS = re.compile(r"Found ordering cycle\b")
_GOES_ON = re.compile(r"Found (?:ordering cycle|dependency)\b")
# The second is systemd's before 239.
_DROPS = re.compile(rf"\bJob {_UNIT} deleted to break ordering cycle|Breaking ordering cycle by deleting job {_UNIT}")
_JOB = re.compile(_UNIT)
_LONGEST_LINE = 2000


class Cycle(NamedTuple):
    """Units that wait for each other."""

    units: Sequence[str]
    """In the order in which systemd names them."""
    dropped: str
    """The one that systemd does not start, so that the others can be; a boot may choose another one."""

    def told(self) -> str:
        """Return it as a sentence, which begins with the unit that is dropped: systemd begins anywhere."""
        first = self.units.index(self.dropped) if self.dropped in self.units else 0
        order = " after ".join([*self.units[first:], *self.units[: first + 1]])
        return f"a boot does not start {self.dropped}: ordering cycle (After=, Before=): {order}"


def cycles(machine: Machine, names: Collection[str]) -> list[Cycle]:
    """Return the ordering cycles of a boot that one of these units is in.

    A boot's own words are lost, as they come before the journal. systemd-analyze(1) plans the same boot again.
    """
    said = evidence.ask(machine, ["systemd-analyze", "verify", "--man=no", "default.target"])
    return [one for one in parse(said) if set(names).intersection((*one.units, one.dropped))]


def parse(said: str) -> list[Cycle]:
    """Return the cycles that systemd tells of."""
    found: list[Cycle] = []
    units: list[str] = []
    for line in (line[:_LONGEST_LINE] for line in said.splitlines()):
        if _GOES_ON.search(line):
            named = _JOB.findall(line)
            units = named if _BEGINS.search(line) else [*units, *named]
        elif (dropped := _DROPS.search(line)) and units:
            found.append(Cycle(list(dict.fromkeys(units)), dropped[1] or dropped[2]))
            units = []
    return found
