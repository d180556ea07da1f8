"""Probes: one check each on a running machine."""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple


class Outcome(Enum):
    """What a check has come to."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """This machine cannot tell: it lacks something that another one has. Nobody's fault."""
    SKIPPED = "skipped"
    """Not tried, because another check has failed."""


class Finding(NamedTuple):
    """What a probe, or the installation, has found."""

    subject: str
    """What was checked: `unit webfs.service`."""
    outcome: Outcome
    detail: str
    """One line: `active (running)`."""
    evidence: str = ""
    """Many lines: the unit's status and its journal, or the commands of an installation."""
    hint: str = ""
    """What to do next, in one line."""
    excerpt: str = ""
    """The lines of the evidence that say most; without it they are its last ones."""
    notes: tuple[str, ...] = ()
    """Faults that change no outcome, each in one line."""

    @property
    def passed(self) -> bool:
        """Return whether it has passed."""
        return self.outcome is Outcome.PASSED


def all_passed(findings: Iterable[Finding]) -> bool:
    """Return whether each of them has passed."""
    return all(finding.passed for finding in findings)
