"""Which versions of a package are installed, as the guest's package manager has it."""

from collections.abc import Sequence

from postroj.deadline import Deadline
from postroj.machine import Machine

_NOT_FOUND = 127
# Each prints a line for each package: a word, and its version.
_ASK: Sequence[Sequence[str]] = (
    ("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}\n", "--"),
    ("rpm", "--query", "--queryformat=installed %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\n", "--"),
    ("pacman", "--query", "--"),
)
_NOT_INSTALLED = ("not-installed", "config-files", "half-installed")
"""States of dpkg in which nothing can be used: dpkg(1)."""


def versions(machine: Machine, name: str, *, deadline: Deadline) -> list[str] | None:
    """Return the versions of a package that are installed; None if the guest has no package manager that is known."""
    for argv in _ASK:
        done = machine.command([*argv, name], deadline=deadline)
        if done.status == _NOT_FOUND:
            continue
        lines = [line.split() for line in done.output.splitlines()] if done.status == 0 else []
        return [words[1] for words in lines if len(words) == 2 and words[0] not in _NOT_INSTALLED]
    return None
