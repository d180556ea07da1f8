"""The unit that keeps another one from starting: one that it requires."""

from typing import NamedTuple

from postroj.contract import Machine, UnitState

_MOST = 100
"""How many units are looked at."""


class Lacking(NamedTuple):
    """A unit that keeps others from starting."""

    name: str
    exists: bool


def lacking_requirement(machine: Machine, name: str) -> Lacking | None:
    """Return the unit that a unit requires, or that one of its requirements does, and that has failed or is not there.

    The nearest counts. Each unit is looked at once.
    """
    seen, level = {name}, [name]
    while level:
        found, below = [], set[str]()
        for unit in level:
            with machine.watch_unit(unit) as watch:
                state = watch.state()
                if unit != name and _is_lacking(unit, state):
                    found.append(Lacking(unit, state.load != "not-found"))
                    continue
                facts = watch.facts()
            below.update(facts.requires, facts.triggers)
        if found:
            return min(found)
        level = sorted(below - seen)[: max(0, _MOST - len(seen))]
        seen.update(level)
    return None


def _is_lacking(unit: str, state: UnitState) -> bool:
    """Return whether a unit does not exist, has failed, or is a device that is not there."""
    is_absent = unit.endswith(".device") and state.active != "active"
    return is_absent or state.load == "not-found" or state.active == "failed"
