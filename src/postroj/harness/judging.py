"""The units that a probe judges: what is known of each, and the judging."""

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from postroj.contract import Machine
from postroj.deadline import Deadline
from postroj.harness.ledger import Ledger
from postroj.harness.request import Request
from postroj.harness.result import SHORT
from postroj.probe import Finding, Outcome
from postroj.probe.unit import MAX_RESTARTS, Stay, check_unit, state_of

if TYPE_CHECKING:
    from postroj.harness.services import Left
    from postroj.probe.judge import Check
    from postroj.probe.network import Address

_NO_USER = ("(216/GROUP)", "(217/USER)")
"""How a service fails whose user was to be made by the installation."""

AFTER_SECONDS = 2.0
"""How long units are looked at after the last check: a service may die of it."""


class Judging(Ledger):
    """The units of one machine's probe."""

    def __init__(
        self,
        request: Request,
        machine: Machine,
        *,
        units: Sequence[str],
        addresses: "Sequence[Address]",
        checks: "Mapping[str, Check]",
        deadline: Deadline,
    ) -> None:
        super().__init__()
        self.request = request
        self.machine = machine
        self.named_units = list(units)
        """Those that the user has named."""
        self.units = list(units)
        """The units to be judged."""
        self.addresses = addresses
        self.checks = checks
        """Further checks, by their names."""
        self.deadline = deadline
        self.failed_before: frozenset[str] = frozenset()
        """The units that had failed before the installation began."""
        self.restarts_before: dict[str, int] = {}
        """How often the services had been restarted that had been so before it."""
        self.idle: list[str] = []
        """Units that are not judged, as the installation leaves them disabled; see Chosen."""
        self.triggered: list[str] = []
        """Units that were started by using one of those to be judged."""
        self.notes: dict[str, str] = {}
        """What to say of a unit besides, by its name."""
        self.aliases: dict[str, str] = {}
        """The alias by which a unit was asked for, by the unit's own name."""
        self.enablement: dict[str, str] = {}
        """UnitFileState of the units to be judged, as the installation has left them."""
        self.dropped: dict[str, str] = {}
        """Why a boot does not start units that it should: ordering cycles."""
        self.not_enabled: dict[str, str] = {}
        """Why units are not enabled that should be."""
        self.may_end: set[str] = set()
        """Units that run only when they are used, and may end by themselves."""
        self.cause = ""
        """What the package has done that may be why a check fails, as a clause: `left a process outside any unit: …`"""
        self.masked: Collection[str] = ()
        """Units that postroj has masked, for a moment."""
        self.complaints: list[str] = []
        """What maintainer scripts of the packages have printed of commands that failed, and went on."""
        self.refused: frozenset[str] = frozenset()
        """The units that the installation says it could not start."""
        self.started: dict[str, float] = {}
        """When postroj has started units that the installation has left stopped, as time.time()."""
        self.links: set[str] = set()
        """The links by which postroj has enabled units."""
        self._restarts: dict[str, int] = {}

    @property
    def judged(self) -> list[str]:
        """All units to be judged: those named or found, and those that were started by using one of them."""
        return [*self.units, *self.triggered]

    def note_failed(self) -> None:
        """Note which units have failed so far, or were restarted: what comes next is not why."""
        self.failed_before = frozenset(self.machine.failed_units())
        self.restarts_before = self.machine.restarts()

    def look(self, unit: str) -> "Left":
        """Return how a unit is now."""
        from postroj.harness.services import look

        return look(self.machine, unit)

    def forget(self, units: Collection[str]) -> None:
        """Judge units no more: they are gone."""
        self.units = [unit for unit in self.units if unit not in units]
        self.triggered = [unit for unit in self.triggered if unit not in units]

    def check_started(self, unit: str) -> Finding:
        """Judge whether a unit has started, and keep the finding."""
        return self._check(unit, Stay(max_restarts=self._max_restarts, may_end=unit in self.may_end))

    def check_stays(self, unit: str, *, until: float = 0.0, when: str = "after the checks") -> Finding:
        """Judge whether a unit stays active for the time that is asked for; `until` is one of time.monotonic().

        It must not have been restarted since note_restarts; `when` says what has happened meanwhile.
        """
        restarts, may_end = self._restarts.get(unit), unit in self.may_end
        # What has come up for a moment only, before anything was checked, has failed to start.
        was_active = restarts is not None and any(
            finding.passed and finding.subject == f"unit {unit}" for finding in self.without_checks
        )
        stay = Stay(self.stay_seconds, until, self._max_restarts, restarts, may_end, when, was_active)
        return self._check(unit, stay)

    @property
    def stay_seconds(self) -> float:
        """Seconds that a unit must stay active; after the first check of an installation a shorter time will do."""
        asked = self.request.stay_seconds
        return asked if self.request.stay is not None or self.phase in ("", *SHORT) else min(asked, AFTER_SECONDS)

    def note_restarts(self) -> None:
        """Note how often each unit has been restarted so far: to start may take some, to be talked to may not."""
        for unit in self.judged:
            self._restarts[unit] = state_of(self.machine, unit).restarts

    @property
    def _max_restarts(self) -> int:
        return MAX_RESTARTS if self.stay_seconds else 0

    def was_restarted(self) -> bool:
        """Return whether a unit has been restarted by Restart=, whenever."""
        return any(state_of(self.machine, unit).restarts for unit in self.judged)

    def has_lost_a_unit(self) -> bool:
        """Return whether a unit that was active has ended, and may not."""
        for unit in (unit for unit in self.judged if not self.allowing(unit)):
            state = state_of(self.machine, unit)
            if state.active == "failed" or state.restarts > MAX_RESTARTS:
                return True
            is_over = state.active == "inactive" and not state.has_job and not state.condition
            if is_over and unit not in self.may_end and self.look(unit).facts.kind != "oneshot":
                return True
        return False

    def _check(self, unit: str, stay: Stay) -> Finding:
        finding = check_unit(self.machine, unit, stay=stay, deadline=self.deadline, ports=self._asked_ports())
        if alias := self.aliases.get(unit):
            finding = finding._replace(detail=f"{finding.detail}; {alias} is an alias of it")
        if note := self._note(finding, unit):
            finding = finding._replace(detail=f"{finding.detail}; {note}")
        finding = self.allowed(unit, self.explained(finding))
        self.add(finding)
        return finding

    def allowed(self, unit: str, finding: Finding) -> Finding:
        """Return a finding on a unit that has failed as one that has not, if --allow-failed allows that."""
        glob = self.allowing(unit)
        if finding.outcome not in (Outcome.FAILED, Outcome.UNKNOWN) or not glob:
            return finding
        told = f"{finding.detail}, which --allow-failed={glob} allows"
        return finding._replace(outcome=Outcome.PASSED, detail=told, hint="")

    def allowing(self, unit: str) -> str:
        """Return the --allow-failed by which a unit may fail; empty if it may not."""
        return next((glob for glob in self.request.allow_failed if fnmatchcase(unit, glob)), "")

    def _asked_ports(self) -> set[int]:
        """Return the ports of the addresses that are to be checked."""
        addresses = list(self.addresses)
        if self.checks:
            from postroj.probe.check import address_of

            addresses += filter(None, map(address_of, self.checks.values()))
        return {address.port for address in addresses}

    def _note(self, finding: Finding, unit: str) -> str:
        """Return what is to be said of a unit besides; its installation may have tried to start it."""
        note = self.notes.get(unit, "")
        if note and unit in self.started and finding.outcome is Outcome.FAILED:
            from postroj.harness.services import was_refused

            if unit in self.refused or was_refused(self.machine, unit, until=self.started[unit]):
                return "the installation has tried to start it, in vain"
        return note

    def explained(self, finding: Finding) -> Finding:
        """Return a finding that has failed with its likely cause, if one is known."""
        if finding.outcome is not Outcome.FAILED:
            return finding
        if self.complaints and any(status in finding.detail for status in _NO_USER):
            finding = finding._replace(detail=f"{finding.detail}; a maintainer script printed: {self.complaints[0]}")
        return finding._replace(detail=f"{finding.detail}; the package {self.cause}") if self.cause else finding
