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
    phase: str = ""
    """The phase of the package's life in which it was made: `upgrade`."""
    rule: str = ""
    """The rule that was broken, by its name in docs/lifecycle.md; empty if it is about no rule."""
    seconds: float = 0.0
    """How long it took to make."""
    label: str = ""
    """What its name has instead of the subject, if that changes from release to release: `package web`."""

    @property
    def passed(self) -> bool:
        """Return whether it has passed."""
        return self.outcome is Outcome.PASSED

    @property
    def name(self) -> str:
        """A name that stays the same from run to run: `upgrade/unit/web.service`."""
        return "/".join(filter(None, (self.phase, *(self.label or self.subject).split(" ", 1))))


def all_passed(findings: Iterable[Finding]) -> bool:
    """Return whether each of them has passed."""
    return all(finding.passed for finding in findings)
