"""What came of a probe: findings, and the error that ended it, if one did. All reports are views of it."""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from postroj.errors import InterruptedProbeError, PostrojError
from postroj.probe import Finding, Outcome, all_passed

SHORT = ("install", "check")
"""The phases of a probe that asks for no others."""


class Verdict(Enum):
    """What is said of a package; its value is the exit status."""

    PASSED = 0
    FAILED = 1
    UNKNOWN = 3


class UnitRow(NamedTuple):
    """What a unit was at the end of a phase."""

    unit: str
    enabled: str
    """UnitFileState, as `systemctl is-enabled` prints it; empty for what has no unit file."""
    active: str
    """ActiveState and SubState: `active (running)`; `not-found` for what is gone."""
    since: float = 0.0
    """Since when it is active, as time.time(); 0 if it is not."""
    restarts: int = 0
    """How often Restart= has restarted it since the boot."""
    pid: int = 0
    """Its main process, as the guest counts; 0 for none."""


class PhaseResult(NamedTuple):
    """A phase of the package's life, as it went."""

    name: str
    seconds: float
    units: Sequence[UnitRow] = ()
    """The units that are judged, at its end."""
    notes: Sequence[str] = ()
    """What is to be said of it besides, each in one line: why it was not run, for example."""


class Tested(NamedTuple):
    """A package under test."""

    name: str
    version: str = ""
    """As its file says, or the installation has told; empty if that is not known."""
    architecture: str = ""
    """As its file says; empty for a name."""
    format: str = ""
    """Of its file: deb, rpm or arch; empty for a name."""
    file: str = ""
    """Where it is on the host; empty for a name from the guest's repositories."""
    reference: str = ""
    """As the user has written it."""


class Result(NamedTuple):
    """The findings, in the order in which they were made."""

    image: str
    findings: Sequence[Finding]
    seconds: float
    """How long all of it took."""
    error: PostrojError | None = None
    """What broke it off: an error of postroj or of the host, never of the package. What was found before stands."""
    phases: Sequence[PhaseResult] = ()
    """The phases that were begun, each once; `phase` of a finding is the name of one."""
    packages: Sequence[Tested] = ()
    """The packages under test."""
    begun: float = 0.0
    """When it was begun, as time.time(); 0 if that is not known."""

    @property
    def verdict(self) -> Verdict:
        """None after an error, whatever was found before; a failure weighs more than what cannot be told."""
        if self.error:
            return Verdict.UNKNOWN
        if any(finding.outcome is Outcome.FAILED for finding in self.findings):
            return Verdict.FAILED
        return Verdict.PASSED if all_passed(self.findings) else Verdict.UNKNOWN

    @property
    def status(self) -> int:
        """The exit status of `postroj pkgprobe`: the verdict's, or that of the signal that has ended it."""
        return self.error.status if isinstance(self.error, InterruptedProbeError) else self.verdict.value

    @property
    def reason(self) -> str:
        """The first line of a report: why it has not passed; empty if it has."""
        if self.error:
            return self.error.what
        cause = cause_of(self)
        return f"{where(self, cause)}{cause.subject}: {cause.detail}" if cause else ""

    @property
    def is_life(self) -> bool:
        """Return whether more was asked for than that the package is installed and runs."""
        return any(phase.name not in SHORT for phase in self.phases)


def cause_of(result: Result) -> Finding | None:
    """Return the finding that a verdict comes from; None if it has passed, or an error is the reason."""
    grave = () if result.error else (Outcome.FAILED, Outcome.UNKNOWN)
    return next((finding for outcome in grave for finding in result.findings if finding.outcome is outcome), None)


def where(result: Result, finding: Finding) -> str:
    """Return what a line about a finding begins with: its phase, if there are several."""
    return f"{finding.phase}: " if finding.phase and result.is_life else ""
