"""What units are at the end of a phase: a row for each."""

import time
from collections.abc import Sequence

from postroj.contract import Machine
from postroj.harness.result import UnitRow
from postroj.probe.unit import described


def rows(machine: Machine, units: Sequence[str]) -> list[UnitRow]:
    """Return a row for each unit, by its full name."""
    return [_row(machine, unit) for unit in units]


def _row(machine: Machine, unit: str) -> UnitRow:
    with machine.watch_unit(unit) as watch:
        state, facts = watch.state(), watch.facts()
    if state.load == "not-found":
        return UnitRow(unit, "", "not-found")
    since = time.time() - state.active_seconds if state.active == "active" else 0.0
    return UnitRow(unit, facts.enablement, described(state), since, state.restarts, facts.main_pid)
