"""What the file of a unit says, as its author has written it: `systemctl show` leaves out much, and [Install]."""

from typing import NamedTuple

from postroj.contract import Machine
from postroj.probe import evidence

LONGEST = 200
"""A value is cut after so many characters."""


class UnitFile(NamedTuple):
    """A unit file with its drop-ins: systemd.syntax(7)."""

    sections: frozenset[str]
    settings: dict[str, tuple[str, ...]]
    """All values of each key, in the order of the files; an empty value has removed those before it."""

    def last(self, key: str) -> str:
        """Return the value that counts of a setting that has one; empty if it is not set."""
        return self.settings.get(key, ("",))[-1]

    def is_on(self, key: str) -> bool:
        """Return whether a setting that is yes or no is set to yes."""
        return self.last(key).lower() in ("yes", "true", "1", "on", "y", "t")

    def words(self, *keys: str) -> list[str]:
        """Return the words of settings that are lists."""
        return [word for key in keys for value in self.settings.get(key, ()) for word in value.split()]


def read(machine: Machine, name: str) -> UnitFile:
    """Return what the files of a unit say; nothing if it has none. No key is of two sections."""
    return parse(evidence.ask(machine, ["systemctl", "cat", "--no-pager", "--", name]))


def parse(text: str) -> UnitFile:
    """Return what `systemctl cat` prints, read."""
    sections: set[str] = set()
    settings: dict[str, tuple[str, ...]] = {}
    for line in _joined(text):
        if line.startswith("["):
            sections.add(line.strip("[]"))
            continue
        key, is_setting, value = (part.strip() for part in line.partition("="))
        if is_setting:
            settings[key] = (*settings.get(key, ()), value[:LONGEST]) if value else ()
    return UnitFile(frozenset(sections), {key: values for key, values in settings.items() if values})


def _joined(text: str) -> list[str]:
    """Return the lines that are no comments; one that ends in a backslash goes on in the next one."""
    lines: list[str] = []
    goes_on = False
    for line in text.splitlines():
        if line.lstrip().startswith(("#", ";")):
            continue
        if goes_on:
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line.strip())
        goes_on = lines[-1].endswith("\\")
        if goes_on:
            lines[-1] = lines[-1][:-1].rstrip()
    return lines
