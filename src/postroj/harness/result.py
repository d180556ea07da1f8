"""What came of a probe: findings, and the error that ended it, if one did. All reports are views of it."""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from postroj.errors import PostrojError
from postroj.probe import Finding, Outcome, all_passed


class Verdict(Enum):
    """What is said of a package; its value is the exit status."""

    PASSED = 0
    FAILED = 1
    UNKNOWN = 3


class Result(NamedTuple):
    """The findings, in the order in which they were made."""

    image: str
    findings: Sequence[Finding]
    seconds: float
    """How long all of it took."""
    error: PostrojError | None = None
    """What broke it off: an error of postroj or of the host, never of the package. What was found before stands."""

    @property
    def verdict(self) -> Verdict:
        """None after an error, whatever was found before; a failure weighs more than what cannot be told."""
        if self.error:
            return Verdict.UNKNOWN
        if any(finding.outcome is Outcome.FAILED for finding in self.findings):
            return Verdict.FAILED
        return Verdict.PASSED if all_passed(self.findings) else Verdict.UNKNOWN

    @property
    def reason(self) -> str:
        """The first line of a report: why it has not passed; empty if it has."""
        if self.error:
            return self.error.what
        for outcome in (Outcome.FAILED, Outcome.UNKNOWN):
            for finding in self.findings:
                if finding.outcome is outcome:
                    return f"{finding.subject}: {finding.detail}"
        return ""
