"""The findings of a result by phase, as most formats show them."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from postroj.harness.result import PhaseResult, Result
from postroj.probe import Finding, Outcome

WHOLE = "probe"
"""The name of what belongs to no phase: what was found before a boot, and the error that broke a probe off."""


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


def is_tolerated(finding: Finding) -> bool:
    """Return whether it breaks a rule and has passed all the same: --allow= names the rule, or it is as before."""
    return finding.passed and bool(finding.rule)


def iso(seconds: float) -> str:
    """Return a moment, given as time.time(), as ISO 8601 writes it, in UTC; empty for 0."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds else ""
