"""Which versions of a package are installed, as the guest's package manager has it."""

from postroj import family
from postroj.contract import Machine
from postroj.deadline import Deadline

_NOT_FOUND = 127
_NOT_INSTALLED = ("not-installed", "config-files", "half-installed")
"""States of dpkg in which nothing can be used: dpkg(1)."""


def versions(machine: Machine, family_name: str, name: str, *, deadline: Deadline) -> list[str] | None:
    """Return the versions of a package that are installed; None if the guest has no package manager that is known.

    Without the name of its family those of all families are tried.
    """
    asked = []
    for one in [family_name] if family_name in family.NAMES else family.NAMES:
        command = family.load(one).versions(name)
        if not command or command in asked:
            continue
        asked.append(command)
        found = states(machine, family.load(one), name, deadline=deadline)
        if found is not None:
            return [version for status, version in found if version and status not in _NOT_INSTALLED]
    return None


def states(machine: Machine, one: family.Family, name: str, *, deadline: Deadline) -> list[tuple[str, str]] | None:
    """Return status and version of each version of a package that a family's package manager knows.

    The status is dpkg's, or another word for what is installed. None if the guest lacks the package manager.
    """
    done = machine.command(one.versions(name), deadline=deadline)
    if done.status == _NOT_FOUND:
        return None
    lines = [line.split() for line in done.output.splitlines()] if done.status == 0 else []
    return [(words[0], "".join(words[1:])) for words in lines if len(words) in (1, 2)]
