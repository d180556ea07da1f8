"""What the phases of a probe share: the machine, what is asked for, and what was found."""

import time
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from postroj.contract import Machine
from postroj.deadline import Deadline
from postroj.events import Step as Progress
from postroj.events import emit
from postroj.harness.judging import Judging
from postroj.harness.request import Request
from postroj.probe import Finding, Outcome

if TYPE_CHECKING:
    from postroj.cache import Given
    from postroj.contract import Change
    from postroj.family import Family
    from postroj.harness.result import UnitRow
    from postroj.package.install import Answer
    from postroj.package.reference import Package
    from postroj.package.repository import Repositories
    from postroj.probe.judge import Check, Scene
    from postroj.probe.network import Address


class Before(NamedTuple):
    """What a machine is before packages are installed for the first time, and what they need is there."""

    accounts: frozenset[tuple[str, str]]
    """The users and groups: `life.accounts`."""
    diverted: frozenset[str]
    """The diversions and overrides: `life.diverted`."""
    changes: "Mapping[str, Change]"
    """What the guest has changed over its image."""
    running: frozenset[str]
    """The units that have processes."""


class Stage(Enum):
    """What of the packages under test is installed."""

    NOTHING = "not installed"
    OLD = "installed in the earlier version"
    INSTALLED = "installed"
    REMOVED = "removed"
    PURGED = "purged"


class Job(Judging):
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
        earlier: "Sequence[Package]" = (),
        repositories: "Repositories | None" = None,
        units: Sequence[str],
        addresses: "Sequence[Address]",
        checks: "Mapping[str, Check]",
        deadline: Deadline,
        given: "Given | None" = None,
    ) -> None:
        super().__init__(request, machine, units=units, addresses=addresses, checks=checks, deadline=deadline)
        self.family = family
        """How packages are installed; None without packages."""
        self.family_name = family_name
        """The family of the image, also if no packages are installed; empty if it is not known."""
        self.packages = packages
        self.needed = needed
        """Packages that are installed first, and are not under test."""
        self.earlier = earlier
        """The earlier release of the packages."""
        self.repositories = repositories
        self.before_installing: Callable[[], None] | None = None
        """What is to be done before the packages are installed for the first time, when what they need is there."""
        self.before: Before | None = None
        """The machine before the first installation; None if it has not come to that."""
        self.has_begun = False
        """Whether the units of what is installed have been found, and started if they were stopped."""
        self.seen: list[str] = []
        """The units that were judged, or that packages have shipped, in any phase so far."""
        self.begin = time.time()
        self._siblings: list[Package] = []
        self._shipped: tuple[Stage, list[str]] | None = None
        self._loaded_before: frozenset[str] = frozenset()
        """The units that were loaded before the first installation."""
        self.installation: Finding | None = None
        """What the installation of the packages under test has come to."""
        self.versions: dict[str, str] = {}
        """The versions of the packages under test that were named without one, as the installation has told."""
        self.at_phase_end: Callable[[], None] | None = None
        """What is to be done at the end of each phase, however it ends."""
        self.stage = Stage.NOTHING
        self.has_lists = bool(given and given.root)
        """Whether the guest has package lists that are up to date."""
        self._given = given
        self.is_over = False
        """Whether the machine is gone: a reboot has failed."""
        self._hindered_by = ""
        """What keeps later phases from being tried."""
        self.ports: set[tuple[str, str, int]] | None = None
        """What could be connected to after the last phase: protocol, address, port."""

    def run(self, phase: "Phase") -> None:
        """Run a phase, or say why it is not tried."""
        if self.request.phases:
            emit(Progress(self.machine.name, f"phase {phase.name}"))
        self.begin_phase(phase.name, goes_on=phase.goes_on)
        self.cause = self.cause if phase.goes_on else ""
        rows: Sequence[UnitRow] = ()
        is_broken_off = True  # by a signal: nothing can be asked of the guest then
        try:
            if (self._hindered_by and not (phase.always or phase.goes_on)) or (self.is_over and not phase.sets_back):
                what = f"not tried, because of {self._hindered_by}"
                self.add(Finding(f"phase {phase.name}", Outcome.SKIPPED, what))
                is_broken_off = False
                return
            for step in phase.steps:
                if not self.is_over or phase.sets_back:
                    step(self)
            broken = [f.subject for f in self.without_checks if not f.passed and not f.rule]
            self._hindered_by = f"{' and '.join(broken)} in {phase.name}" if broken else ""
            rows = self._rows()
            is_broken_off = False
        except Exception:
            is_broken_off = False
            raise
        finally:
            if self.at_phase_end and not is_broken_off:
                self.at_phase_end()
            self.end_phase(rows)

    def _rows(self) -> "Sequence[UnitRow]":
        if not self.request.phases or self.is_over:
            return ()
        from postroj.harness.rows import rows

        return rows(self.machine, self.judged)

    @property
    def scene(self) -> "Scene":
        """Where checks are judged."""
        from postroj.probe.judge import Scene

        return Scene(self.machine, self.begin, self.enablement, self.family_name)

    def add_installation(self, finding: Finding) -> None:
        """Keep what the installation has come to."""
        self.installation = finding
        self.add(finding)

    def answer_of(self, packages: "Sequence[Package]") -> "Answer | None":
        """Return what the package cache knows of these packages, if nothing is installed that the image has not."""
        groups = (self.packages, self.needed, self.earlier)
        if self.stage is not Stage.NOTHING or not self._given or (self.needed and packages is not self.needed):
            return None
        found = [one for group, one in zip(groups, self._given.answers, strict=False) if group is packages]
        return found[0] if found and found[0] and found[0].resolved else None

    def number_of(self, packages: "Sequence[Package]") -> int:
        """Return the number of the first of these packages, among all whose files the machine is given."""
        groups = (self.packages, self.needed, self.earlier)
        return sum(len(group) for group in groups[: next(n for n, group in enumerate(groups) if group is packages)])

    @property
    def installed(self) -> "list[Package]":
        """The packages that are installed, and those that came along and are of the same sources."""
        return [*(self.earlier if self.stage is Stage.OLD else self.packages), *self._siblings]

    @property
    def names(self) -> list[str]:
        """Their names."""
        return [package.name for package in self.installed]

    def add_siblings(self, names: Sequence[str]) -> None:
        """Take packages for under test as well: they came along, of the same source as one that is, as nginx-common."""
        from postroj.package.reference import Package

        known = [package.name for package in self._siblings]
        self._siblings += [Package(name, "", "", name) for name in names if name not in known]

    @property
    def shipped(self) -> list[str]:
        """The units that the installed packages ship, and those that their installation has made."""
        if not self.family:
            return []
        if not self.family.lists_files:
            return sorted(f"{service}.service" for one in self.installed for service in one.services)
        if self._shipped is None or self._shipped[0] is not self.stage:
            from postroj.package.shipped import made, units

            found = units(self.machine, self.family, self.names, deadline=self.deadline)
            self._shipped = self.stage, [*found.units, *made(self.machine, self._loaded_before, found)]
        return self._shipped[1]

    def note_loaded(self) -> None:
        """Note which units there are: what comes next may make some."""
        if self.stage is Stage.NOTHING:
            self._loaded_before = frozenset(self.machine.loaded_units())

    def files(self) -> list[str]:
        """Return the paths of the files that the installed packages ship; directories are among them where dpkg is."""
        assert self.family
        if not self.family.lists_files:
            return []
        return self.machine.command(self.family.files(self.names), deadline=self.deadline).output.splitlines()

    def set_back(self) -> None:
        """Set the machine back to what it was before anything was installed."""
        self.machine.restore(0, deadline=self.deadline)
        self.is_over = False
        self.stage, self.units, self.triggered, self.notes = Stage.NOTHING, list(self.named_units), [], {}
        self._siblings = []
        self.forget_checks()
        self.before, self.has_begun, self.links = None, False, set()
        self.ports, self.has_lists = None, bool(self._given and self._given.root)


Step = Callable[[Job], None]
"""A part of a phase. It adds findings to the job, and raises PostrojError if postroj or the host fails."""


class Phase(NamedTuple):
    """A part of the life of a package."""

    name: str
    steps: Sequence[Step]
    needs: frozenset[Stage] = frozenset()
    """What has to be installed before; empty if that does not matter."""
    leaves: Stage | None = None
    """What is installed after it; None for what was so before."""
    goes_on: bool = False
    """Whether it goes on with the phase before: what that has found bears on it."""
    sets_back: bool = False
    """Whether it begins on a machine as the image makes it."""
    always: bool = False
    """Whether it is tried although an earlier one has failed."""
