"""What the phases of a probe share: the machine, what is asked for, and what was found."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from postroj.deadline import Deadline
from postroj.machine import Machine
from postroj.pkgprobe.request import Request
from postroj.probe import Finding, Outcome, all_passed

if TYPE_CHECKING:
    from postroj.package.reference import Package
    from postroj.probe.network import Address


class Job:
    """One machine's probe."""

    def __init__(
        self,
        request: Request,
        machine: Machine,
        *,
        packages: "Sequence[Package]",
        units: Sequence[str],
        addresses: "Sequence[Address]",
        deadline: Deadline,
    ) -> None:
        self.request = request
        self.machine = machine
        self.packages = packages
        self.units = units
        self.addresses = addresses
        self.deadline = deadline
        self._findings: dict[str, Finding] = {}

    @property
    def findings(self) -> list[Finding]:
        """All findings so far, one for each subject."""
        return list(self._findings.values())

    @property
    def passed(self) -> bool:
        """Return whether everything so far has passed."""
        return all_passed(self._findings.values())

    def add(self, finding: Finding) -> None:
        """Keep a finding; a later one of the same subject takes the place of the earlier."""
        self._findings[finding.subject] = finding

    def skip(self, subject: str) -> None:
        """Say of a check that it is not tried, and why."""
        failed = " and ".join(f.subject for f in self.findings if not f.passed and f.outcome is not Outcome.SKIPPED)
        self.add(Finding(subject, Outcome.SKIPPED, f"not tried, because of {failed}"))


Phase = Callable[[Job], None]
"""A part of a probe. It adds findings to the job, and raises PostrojError if postroj or the host fails."""
