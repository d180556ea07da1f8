"""What the phases of a probe share: the machine, what is asked for, and what was found."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from postroj.contract import Machine
from postroj.deadline import Deadline
from postroj.harness.request import Request
from postroj.probe import Finding, Outcome, all_passed
from postroj.probe.unit import MAX_RESTARTS, Stay, check_unit

if TYPE_CHECKING:
    from postroj.family import Family
    from postroj.package.reference import Package
    from postroj.package.repository import Repositories
    from postroj.probe.judge import Check, Scene
    from postroj.probe.network import Address


class Job:
    """One machine's probe."""

    def __init__(
        self,
        request: Request,
        machine: Machine,
        *,
        family: "Family | None" = None,
        family_name: str = "",
        packages: "Sequence[Package]",
        needed: "Sequence[Package]" = (),
        repositories: "Repositories | None" = None,
        units: Sequence[str],
        addresses: "Sequence[Address]",
        checks: "Mapping[str, Check]",
        deadline: Deadline,
    ) -> None:
        self.request = request
        self.machine = machine
        self.family = family
        """How packages are installed; None without packages."""
        self.family_name = family_name
        """The family of the image, also if no packages are installed; empty if it is not known."""
        self.packages = packages
        self.needed = needed
        """Packages that are installed first, and are not under test; they are numbered after the others."""
        self.repositories = repositories
        self.units = units
        self.addresses = addresses
        self.checks = checks
        """Further checks, by their names."""
        self.deadline = deadline
        self.machine_is_lost = False
        """Whether the guest is gone, and nothing more can be asked of it."""
        self.failed_before: frozenset[str] = frozenset()
        """The units that had failed before the installation began."""
        self.restarts_before: dict[str, int] = {}
        """How often the services had been restarted that had been so before it."""
        self.triggered: list[str] = []
        """Units that were started by using one of those to be judged."""
        self.notes: dict[str, str] = {}
        """What to say of a unit besides, by its name."""
        self.aliases: dict[str, str] = {}
        """The alias by which a unit was asked for, by the unit's own name."""
        self.enablement: dict[str, str] = {}
        """UnitFileState of the units to be judged, as the installation has left them."""
        self.not_enabled: dict[str, str] = {}
        """Why units are not enabled that should be."""
        self.may_end: set[str] = set()
        """Units that run only when they are used, and may end by themselves."""
        self.cause = ""
        """What the package has done that may be why a check fails, as a clause: `left a process outside any unit: …`"""
        self._begin = time.time()
        self.started: dict[str, float] = {}
        """When postroj has started units that the installation has left stopped, as time.time()."""
        self._restarts: dict[str, int] = {}
        self.installation: Finding | None = None
        """What the installation of the packages under test has come to."""
        self._findings: dict[tuple[bool, str], Finding] = {}
        """By whether they are of `checks`, and by subject."""

    @property
    def findings(self) -> list[Finding]:
        """All findings so far, one for each subject."""
        return list(self._findings.values())

    @property
    def passed(self) -> bool:
        """Return whether everything so far has passed."""
        return all_passed(self._findings.values())

    @property
    def runs(self) -> bool:
        """Return whether all but the checks has passed: they do not hinder each other."""
        return all_passed(self.without_checks)

    @property
    def without_checks(self) -> list[Finding]:
        """All findings but those of `checks`."""
        return [finding for (is_check, _), finding in self._findings.items() if not is_check]

    @property
    def scene(self) -> "Scene":
        """Where checks are judged."""
        from postroj.probe.judge import Scene

        return Scene(self.machine, self._begin, self.enablement, self.family_name)

    @property
    def judged(self) -> list[str]:
        """All units to be judged: those named or found, and those that were started by using one of them."""
        return [*self.units, *self.triggered]

    def add(self, finding: Finding, *, is_check: bool = False) -> None:
        """Keep a finding; a later one of the same subject takes the place of the earlier."""
        self._findings[is_check, finding.subject] = finding

    def add_installation(self, finding: Finding) -> None:
        """Keep what the installation has come to."""
        self.installation = finding
        self.add(finding)

    @cached_property
    def shipped(self) -> list[str]:
        """The units that the installed packages ship."""
        if not self.family:
            return []
        from postroj.package.shipped import units

        names = [package.name for package in self.packages]
        return units(self.machine, self.family, names, deadline=self.deadline)

    def find_units(self) -> None:
        """Set `units` to those to be judged of the ones that the packages ship, as the user has named none."""
        from postroj.harness.services import choose

        self.units = choose(self.machine, self.shipped)

    def check_started(self, unit: str) -> Finding:
        """Judge whether a unit has started, and keep the finding."""
        return self._check(unit, Stay(max_restarts=self._max_restarts, may_end=unit in self.may_end))

    def check_stays(self, unit: str, *, until: float = 0.0, when: str = "after the checks") -> Finding:
        """Judge whether a unit stays active for the time that is asked for; `until` is one of time.monotonic().

        It must not have been restarted since note_restarts; `when` says what has happened meanwhile.
        """
        restarts, may_end = self._restarts.get(unit), unit in self.may_end
        stay = Stay(self.request.stay_seconds, until, self._max_restarts, restarts, may_end, when)
        return self._check(unit, stay)

    def note_restarts(self) -> None:
        """Note how often each unit has been restarted so far: to start may take some, to be talked to may not."""
        for unit in self.judged:
            with self.machine.watch_unit(unit) as watch:
                self._restarts[unit] = watch.state().restarts

    @property
    def _max_restarts(self) -> int:
        return MAX_RESTARTS if self.request.stay_seconds else 0

    def was_restarted(self) -> bool:
        """Return whether a unit has been restarted by Restart=, whenever."""
        for unit in self.judged:
            with self.machine.watch_unit(unit) as watch:
                if watch.state().restarts:
                    return True
        return False

    def has_lost_a_unit(self) -> bool:
        """Return whether a unit that was active has ended."""
        for unit in self.judged:
            with self.machine.watch_unit(unit) as watch:
                state = watch.state()
            has_ended = state.active == "inactive" and not state.has_job and unit not in self.may_end
            if state.active == "failed" or has_ended or state.restarts > MAX_RESTARTS:
                return True
        return False

    def _check(self, unit: str, stay: Stay) -> Finding:
        finding = check_unit(self.machine, unit, stay=stay, deadline=self.deadline)
        if alias := self.aliases.get(unit):
            finding = finding._replace(detail=f"{finding.detail}; {alias} is an alias of it")
        if note := self._note(finding, unit):
            finding = finding._replace(detail=f"{finding.detail}; {note}")
        finding = self.explained(finding)
        self.add(finding)
        return finding

    def _note(self, finding: Finding, unit: str) -> str:
        """Return what is to be said of a unit besides; its installation may have tried to start it."""
        note = self.notes.get(unit, "")
        if note and unit in self.started and finding.outcome is Outcome.FAILED:
            from postroj.harness.services import was_refused

            if was_refused(self.machine, unit, until=self.started[unit]):
                return "the installation has tried to start it, in vain"
        return note

    def explained(self, finding: Finding) -> Finding:
        """Return a finding that has failed with its likely cause, if one is known."""
        if finding.outcome is not Outcome.FAILED or not self.cause:
            return finding
        return finding._replace(detail=f"{finding.detail}; the package {self.cause}")

    def skip(self, subject: str, *, is_check: bool = False) -> None:
        """Say of a check that it is not tried, and why."""
        failed = " and ".join(f.subject for f in self.findings if not f.passed and f.outcome is not Outcome.SKIPPED)
        self.add(Finding(subject, Outcome.SKIPPED, f"not tried, because of {failed}"), is_check=is_check)


Phase = Callable[[Job], None]
"""A part of a probe. It adds findings to the job, and raises PostrojError if postroj or the host fails."""
