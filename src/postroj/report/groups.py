"""The findings of a result by phase, as most formats show them."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from postroj.harness.result import PhaseResult, Result, UnitRow
from postroj.probe import Finding, Outcome

WHOLE = "probe"
"""The name of what belongs to no phase: what was found before a boot, and the error that broke a probe off."""


WORDS = {
    Outcome.PASSED: "passed",
    Outcome.FAILED: "failed",
    Outcome.UNKNOWN: "cannot tell",
    Outcome.SKIPPED: "not tried",
}
"""What outcomes are called for people."""


class Group(NamedTuple):
    """What was found in a phase."""

    phase: PhaseResult
    findings: Sequence[Finding]

    @property
    def name(self) -> str:
        """The name of the phase."""
        return self.phase.name

    @property
    def outcome(self) -> Outcome:
        """The gravest outcome of its findings; skipped if there are none, as with a phase that was not run."""
        outcomes = {finding.outcome for finding in self.findings}
        grave = (Outcome.FAILED, Outcome.UNKNOWN, Outcome.PASSED)
        return next((outcome for outcome in grave if outcome in outcomes), Outcome.SKIPPED)


def groups(result: Result) -> list[Group]:
    """Return the phases in their order, after what was found outside any."""
    names = [phase.name for phase in result.phases]
    others = dict.fromkeys(finding.phase for finding in result.findings if finding.phase not in names)
    of = {name: [f for f in result.findings if f.phase == name] for name in (*others, *names)}
    return [
        *(Group(PhaseResult(name or WHOLE, 0.0), of[name]) for name in others),
        *(Group(phase, of[phase.name]) for phase in result.phases),
    ]


def by_unit(phases: Sequence[PhaseResult]) -> dict[str, list[UnitRow | None]]:
    """Return what each unit was at the end of each phase; None where it was not looked at."""
    units = dict.fromkeys(row.unit for phase in phases for row in phase.units)
    return {unit: [next((row for row in phase.units if row.unit == unit), None) for phase in phases] for unit in units}


def is_tolerated(finding: Finding) -> bool:
    """Return whether it breaks a rule and has passed all the same: --allow= names the rule, or it is as before."""
    return finding.passed and bool(finding.rule)


def iso(seconds: float) -> str:
    """Return a moment, given as time.time(), as ISO 8601 writes it, in UTC; empty for 0."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds else ""
