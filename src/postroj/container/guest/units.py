"""Units of the guest, followed over its bus."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from postroj.container.guest.bus import SERVICE, UNIT, Bus, Signals
from postroj.deadline import Deadline
from postroj.machine import UnitState


class BusUnitWatch:
    """Follows one unit; see UnitWatch."""

    def __init__(self, bus: Bus, path: str, is_service: bool, changes: Signals) -> None:
        self._bus = bus
        self._path = path
        self._is_service = is_service
        self._changes = changes

    def state(self) -> UnitState:
        """What the unit is now."""
        self._changes.clear()
        active = self._unit("ActiveState")
        # The guest's CLOCK_MONOTONIC is the host's.
        since = time.monotonic() - self._unit("ActiveEnterTimestampMonotonic") / 1e6 if active == "active" else 0.0
        return UnitState(
            load=self._unit("LoadState"),
            active=active,
            sub=self._unit("SubState"),
            active_seconds=since,
            restarts=self._service("NRestarts", 0),
            result=self._service("Result", ""),
            has_job=self._unit("Job")[0] != 0,
            **(self._past() if active == "inactive" else {}),
        )

    def _past(self) -> dict[str, Any]:
        """What there is to know of an inactive unit only."""
        was_skipped = self._unit("ConditionTimestampMonotonic") != 0 and not self._unit("ConditionResult")
        return {
            "was_tried": was_skipped or self._unit("InactiveExitTimestampMonotonic") != 0,
            "enablement": self._unit("UnitFileState"),
            "condition": self._unmet() if was_skipped else "",
        }

    def _unmet(self) -> str:
        """Return the first condition that was not met: org.freedesktop.systemd1(5), Conditions."""
        for kind, trigger, negate, parameter, state in self._unit("Conditions"):
            if state < 0:
                return f"{kind}={'|' if trigger else ''}{'!' if negate else ''}{parameter}"
        return ""

    # One by one: all properties of a service are some three hundred, and take longer to read than seven calls.

    def _unit(self, name: str) -> Any:
        return self._bus.property(self._path, UNIT, name)

    def _service(self, name: str, otherwise: Any) -> Any:
        return self._bus.property(self._path, SERVICE, name) if self._is_service else otherwise

    def wait(self, seconds: float) -> None:
        """Return when the unit has changed, or after `seconds`."""
        self._bus.wait(self._changes, Deadline(seconds))


@contextmanager
def watch(bus: Bus, name: str) -> Iterator[BusUnitWatch]:
    """Follow a unit; one that does not exist has the LoadState not-found."""
    (path,) = bus.manager("LoadUnit", "s", name)
    with bus.signals(path, "org.freedesktop.DBus.Properties", "PropertiesChanged") as changes:
        yield BusUnitWatch(bus, path, name.endswith(".service"), changes)
