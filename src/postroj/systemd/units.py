"""Units of the guest, followed over its bus."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from postroj.contract import UnitFacts, UnitState
from postroj.deadline import Deadline
from postroj.errors import RefusedError
from postroj.systemd.bus import PROPERTIES, SERVICE, SOCKET, UNIT, Bus, Signals

_INFINITY = 2**64 - 1
_ESCAPED = re.compile("_([0-9a-f]{2})")
"""What stands in an object's path for a character that it cannot have: sd_bus_path_encode(3)."""


class BusUnitWatch:
    """Follows one unit; see UnitWatch."""

    def __init__(self, bus: Bus, path: str, name: str, changes: Signals) -> None:
        self._bus = bus
        self._path = path
        self._name = name
        self._is_service = name.endswith(".service")
        self._changes = changes

    @property
    def name(self) -> str:
        """Its own name, if it was asked for by an alias."""
        return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), self._path.rpartition("/")[2])

    def state(self) -> UnitState:
        """What the unit is now."""
        self._changes.clear()
        while True:
            # The job first: a unit whose job ends meanwhile is seen to wait for it, and not to be without one.
            has_job = self._unit("Job")[0] != 0
            active = self._unit("ActiveState")
            state = self._state(active, has_job)
            if self._unit("ActiveState") == active:
                return state

    def _state(self, active: str, has_job: bool) -> UnitState:
        entered = self._unit("ActiveEnterTimestampMonotonic") if active == "active" else 0
        return UnitState(
            load=self._unit("LoadState"),
            active=active,
            sub=self._unit("SubState"),
            active_seconds=self._bus.clock() - entered / 1e6 if entered else 0.0,
            restarts=self._service("NRestarts", 0),
            result=self._service("Result", ""),
            has_job=has_job,
            # 0 for what has been active since before systemd counts, such as the root file system.
            start_seconds=max(0, entered - self._unit("InactiveExitTimestampMonotonic")) / 1e6 if entered else 0.0,
            **(self._past() if active == "inactive" else {}),
        )

    def _past(self) -> dict[str, Any]:
        """What there is to know of an inactive unit only."""
        unmet = self._unmet("Condition") or self._unmet("Assert")
        return {"was_tried": bool(unmet) or self._unit("InactiveExitTimestampMonotonic") != 0, "condition": unmet}

    def facts(self) -> UnitFacts:
        """Return how the unit is set up; see UnitWatch."""
        facts = UnitFacts(
            enablement=self._unit("UnitFileState"),
            file=self._unit("FragmentPath"),
            source=self._unit("SourcePath"),
            triggers=self._names("Triggers"),
            requires=self._names("Requires", "Requisite", "BindsTo"),
            conflicts=self._names("Conflicts", "ConflictedBy"),
            refuses_start=self._unit("RefuseManualStart"),
            triggered_by=self._names("TriggeredBy"),
            pulled_in_by=self._names("WantedBy", "RequiredBy", "BoundBy"),
        )
        if self._is_service:
            timeout = self._service("TimeoutStartUSec", 0)
            return facts._replace(
                kind=self._service("Type", ""),
                user=self._service("User", ""),
                start_timeout=None if timeout == _INFINITY else timeout / 1e6,
                exit_status=self._service("ExecMainStatus", 0),
                main_pid=self._service("MainPID", 0),
                can_reload=self._unit("CanReload"),
                **self._watchdog(),
            )
        if self._name.endswith(".socket"):
            listens = self._bus.property(self._path, SOCKET, "Listen")
            return facts._replace(listens=tuple((kind, address) for kind, address in listens))
        return facts

    def _watchdog(self) -> dict[str, Any]:
        """Return what there is to know of a service's watchdog. Its time begins anew just before it becomes active."""
        limit = self._service("WatchdogUSec", 0)
        if limit in (0, _INFINITY) or self._unit("ActiveState") != "active":
            return {}
        told = self._service("WatchdogTimestampMonotonic", 0)
        return {"watchdog_seconds": limit / 1e6, "sends_watchdog": told > self._unit("ActiveEnterTimestampMonotonic")}

    def _unmet(self, what: str) -> str:
        """Return the first condition or assertion that was not met: org.freedesktop.systemd1(5), Conditions."""
        if not self._unit(f"{what}TimestampMonotonic") or self._unit(f"{what}Result"):
            return ""
        for kind, trigger, negate, parameter, state in self._unit(f"{what}s"):
            if state < 0:
                return f"{kind}={'|' if trigger else ''}{'!' if negate else ''}{parameter}"
        return ""

    # One by one: all properties of a service are some three hundred, and take longer to read than seven calls.

    def _unit(self, name: str) -> Any:
        return self._bus.property(self._path, UNIT, name)

    def _names(self, *properties: str) -> tuple[str, ...]:
        """Return the units of properties, one after the other; systemd has them in the order of a hash table."""
        return tuple(unit for one in properties for unit in sorted(self._unit(one)))

    def _service(self, name: str, otherwise: Any) -> Any:
        return self._bus.property(self._path, SERVICE, name) if self._is_service else otherwise

    def wait(self, seconds: float) -> None:
        """Return when the unit has changed, or after `seconds`."""
        self._bus.wait(self._changes, Deadline(seconds))


@contextmanager
def watch(bus: Bus, name: str) -> Iterator[BusUnitWatch]:
    """Follow a unit; one that does not exist has the LoadState not-found."""
    (path,) = bus.manager("LoadUnit", "s", name)
    # Without a reference systemd forgets a unit that has ended, and with it that it was ever started: "Ref" has been
    # there since systemd 232; it lasts as long as the connection.
    with suppress(RefusedError):
        bus.unit(path, "Ref")
    with bus.signals(path, PROPERTIES, "PropertiesChanged") as changes:
        yield BusUnitWatch(bus, path, name, changes)


def failed(bus: Bus) -> list[str]:
    """Return the names of all units that have failed, or wait for Restart= to start them again, in alphabetical order.

    ListUnitsFiltered of org.freedesktop.systemd1(5) takes the states of each kind: ActiveState and SubState too.
    """
    (units,) = bus.manager("ListUnitsFiltered", "as", ["failed", *_WAITING])
    return sorted(unit[0] for unit in units)


def loaded(bus: Bus) -> list[str]:
    """Return the names of the services, sockets, timers and paths that are loaded, in alphabetical order."""
    (units,) = bus.manager("ListUnits")
    return sorted(unit[0] for unit in units if unit[2] == "loaded" and unit[0].endswith(_LOADED))


def restarts(bus: Bus) -> dict[str, int]:
    """Return how often each service that is active or activating has been restarted by Restart=, if it has been."""
    (units,) = bus.manager("ListUnitsFiltered", "as", _WITH_PROCESSES)
    counts = {unit[0]: 0 for unit in units if unit[0].endswith(".service")}
    for unit in units:
        if unit[0] in counts:
            with suppress(RefusedError):  # before systemd 235, and if it is gone by now
                counts[unit[0]] = bus.property(unit[6], SERVICE, "NRestarts")
    return {name: count for name, count in sorted(counts.items()) if count}


def jobs(bus: Bus) -> list[str]:
    """Return the units that systemd starts or stops right now, without those that wait for them."""
    (found,) = bus.manager("ListJobs")
    return sorted(unit for _, unit, _, state, *_ in found if state == "running")


_LOADED = (".service", ".socket", ".timer", ".path")
_WAITING = ["auto-restart", "auto-restart-queued"]
_WITH_PROCESSES = ["running", "start-pre", "start", "start-post", "reload", *_WAITING]
"""SubStates of services that do not rest."""
