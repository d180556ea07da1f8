"""Removing packages from a guest, with or without their configuration, and whose fault it is if that fails."""

from collections.abc import Sequence
from typing import NamedTuple

from postroj.contract import Machine
from postroj.deadline import Deadline
from postroj.errors import GuestSetupError, RemoveError
from postroj.events import Step, emit
from postroj.family import Family
from postroj.package import installed
from postroj.package.reference import Package
from postroj.package.transaction import PURGE, REMOVAL, Transaction

_GONE = ("not-installed",)
_REMOVED = ("not-installed", "config-files")
"""States of dpkg: dpkg(1). What else is installed in some way."""


class Removed(NamedTuple):
    """What a removal has done."""

    commands: Sequence[str] = ()
    """The commands that changed the guest, as they could be typed; none if there was nothing to remove."""
    removed: Sequence[str] = ()
    """The packages that were asked for and are gone now, as their database calls them."""
    absent: Sequence[str] = ()
    """Those of which there was nothing to remove."""
    besides: Sequence[str] = ()
    """Other packages that had to go."""
    left: str = ""
    """Processes that it has left outside any unit, as a list in a sentence; empty for none."""

    def report(self) -> str:
        """Return what was done, in lines."""
        lines = [f"$ {command}" for command in self.commands]
        for what, names in (("removed besides", self.besides), ("not installed", self.absent)):
            if names:
                lines.append(f"{what}: {', '.join(names)}")
        return "\n".join(lines)


def remove(
    machine: Machine, family: Family, packages: Sequence[Package], *, purge: bool, deadline: Deadline
) -> Removed:
    """Remove packages, and see that they are gone then; what is not there is left out.

    If `purge`, their configuration is removed as well, as far as the family can do that, and also that of packages that
    have been removed before. Raises RemoveError if it is the package's fault, LimitError if this machine lacks what a
    script needs, HostError if the guest's disk is full, and DeadlineError.
    """
    names = {package.query(family): package.name for package in packages}
    there = [name for name in names if _status(machine, family, name, purge=purge, deadline=deadline)]
    absent = [name for name in names if name not in there]
    if not there:
        return Removed(absent=absent)
    called = ", ".join(names[name] for name in there)
    emit(Step(machine.name, f"{'purging' if purge else 'removing'} {called}"))
    transaction = Transaction(machine, family, PURGE if purge else REMOVAL, called, deadline=deadline)
    output = transaction.change(family.purge(there) if purge else family.remove(there))
    for name in there:
        try:
            status = _status(machine, family, name, purge=purge, deadline=deadline)
        except GuestSetupError as error:
            raise RemoveError("after the removal no command can be run in the machine", why=str(error)) from error
        if status:
            what = f"{names[name]} is still there, although {family.command} ended with success: it is {status}"
            raise transaction.blame(what, output)
    besides = [name for name in family.removed(output) if name not in names.values()]
    return Removed(transaction.commands, there, absent, besides, transaction.left)


def _status(machine: Machine, family: Family, name: str, *, purge: bool, deadline: Deadline) -> str:
    """Return the status of a package of which there is something to remove; empty if there is nothing.

    Raises RemoveError if its database cannot be asked: no machine is begun with that lacks it.
    """
    states = installed.states(machine, family, name, deadline=deadline)
    if states is None:
        raise RemoveError(f"there is no {family.database} any more")
    nothing = _GONE if purge and family.purges else _REMOVED
    return next((status for status, _ in states if status not in nothing), "")
