"""What a probe has found so far, phase by phase, and what of it bears on what is done next."""

import time
from collections.abc import Sequence

from postroj.harness.result import PhaseResult, UnitRow
from postroj.probe import Finding, Outcome


class Ledger:
    """The findings of one probe."""

    def __init__(self) -> None:
        self.phase = ""
        """The phase that is run."""
        self.phases: list[PhaseResult] = []
        """Those that were run before."""
        self.phase_notes: list[str] = []
        """What is to be said of the phase that is run."""
        self._current = {""}
        """The phases whose findings bear on what is done next: this one, and those that it goes on with."""
        self.phase_begun = time.monotonic()
        """When it was begun, as time.monotonic()."""
        self._last = time.monotonic()
        """When the last finding was made, or the phase was begun: that of time.monotonic()."""
        self._findings: dict[tuple[str, bool, str], Finding] = {}
        """By phase, by whether they are of `checks`, and by subject."""
        self._failed_checks: dict[str, str] = {}
        """The phases in which those of `checks` have failed on the machine as it is, by their subjects."""

    def begin_phase(self, name: str, *, goes_on: bool) -> None:
        """Let what is found from now on be of a phase; with `goes_on` what was found before bears on it."""
        self.phase_begun = self._last = time.monotonic()
        self.phase, self.phase_notes = name, []
        self._current = {*self._current, name} if goes_on else {name}

    def end_phase(self, rows: Sequence[UnitRow]) -> None:
        """Keep what there is to say of the phase; `rows` are the units at its end."""
        seconds = time.monotonic() - self.phase_begun
        self.phases.append(PhaseResult(self.phase, seconds, rows, tuple(self.phase_notes)))

    @property
    def findings(self) -> list[Finding]:
        """All findings so far, one for each subject in each phase."""
        return list(self._findings.values())

    @property
    def current(self) -> list[Finding]:
        """The findings that bear on what is done next."""
        return [finding for (phase, _, _), finding in self._findings.items() if phase in self._current]

    @property
    def since(self) -> str:
        """What tells journalctl when the phase was begun."""
        return f"--since=@{time.time() - (time.monotonic() - self.phase_begun):.6f}"

    @property
    def passed(self) -> bool:
        """Return whether everything so far has passed; a rule that is broken keeps nothing from being tried."""
        return all(finding.passed or finding.rule for finding in self.current)

    @property
    def runs(self) -> bool:
        """Return whether all but the checks has passed: they do not hinder each other."""
        return all(finding.passed or finding.rule for finding in self.without_checks)

    @property
    def without_checks(self) -> list[Finding]:
        """The findings that bear on what is done next, but those of `checks`."""
        return [
            finding
            for (phase, is_check, _), finding in self._findings.items()
            if phase in self._current and not is_check
        ]

    def add(self, finding: Finding, *, is_check: bool = False) -> None:
        """Keep a finding; a later one of the same subject takes the place of the earlier one of this phase."""
        now = time.monotonic()
        # One that goes on with what an earlier phase has found is of that phase.
        phase = next((p for p in self._current if (p, is_check, finding.subject) in self._findings), self.phase)
        key = (phase, is_check, finding.subject)
        before = self._findings[key].seconds if key in self._findings else 0.0
        self._findings[key] = finding._replace(phase=phase, seconds=before + now - self._last)
        self._last = now
        if is_check and finding.outcome is Outcome.FAILED:
            self._failed_checks[finding.subject] = phase

    def forget_checks(self) -> None:
        """Let all checks be tried again: the machine is a new one."""
        self._failed_checks = {}

    def doubt(self, what: str) -> None:
        """Let what has failed be unknown: `what` is why, and it is not under test."""
        for key, finding in self._findings.items():
            if finding.phase in self._current and finding.outcome is Outcome.FAILED:
                told = f"{what}: {finding.detail}"
                self._findings[key] = finding._replace(outcome=Outcome.UNKNOWN, detail=told)

    def skip(self, subject: str, *, is_check: bool = False) -> None:
        """Say of a check that it is not tried, and why."""
        lacking = [finding for finding in self.current if not finding.passed]
        failed = [finding for finding in lacking if finding.outcome is not Outcome.SKIPPED] or lacking
        told = " and ".join(finding.subject for finding in failed)
        self.add(Finding(subject, Outcome.SKIPPED, f"not tried, because of {told}"), is_check=is_check)

    def skips_failed(self, subject: str) -> bool:
        """Return whether one of `checks` has failed before, and say that it is not tried again: it takes its time."""
        phase = self._failed_checks.get(subject, "")
        if phase and phase not in self._current:
            self.add(Finding(subject, Outcome.SKIPPED, f"not tried again, as it has failed in {phase}"), is_check=True)
        return bool(phase)
