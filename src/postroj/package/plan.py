"""What apt-get is about to do, as `apt-get --simulate` tells it."""

import re
from typing import NamedTuple

_STEP = re.compile(r"(Inst|Remv) ([^\s:]+)(?::\S+)?(?: \[([^\]]*)\])?(?: \((\S+) (.*?)(?:\[[^\]]*\])?\))?")
_RECOMMENDED = "Recommended packages:"
_LOCAL = "local-deb"
"""The origin of a version that comes from a file."""


class Step(NamedTuple):
    """One package that is installed."""

    name: str
    version: str
    old: str
    """The version that was there; empty for none."""
    is_local: bool
    """Whether it comes from a file, and needs no download."""


class Plan(NamedTuple):
    """All that apt-get does for the packages that are asked for."""

    installed: tuple[Step, ...] = ()
    removed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """Recommended packages that apt-get knows no source of."""

    @property
    def needs_lists(self) -> bool:
        """Return whether something in it may come from the repositories: a download, or a recommended package."""
        return bool(self.missing) or not all(step.is_local for step in self.installed)

    def version_of(self, name: str) -> str:
        """Return the version of a package that is installed; empty if it stays as it is."""
        return next((step.version for step in self.installed if step.name == name), "")


def read(output: str) -> Plan:
    """Return the plan that `apt-get install --simulate` has printed: apt-get(8)."""
    installed, removed, missing = [], [], []
    in_recommended = False
    for line in output.splitlines():
        if in_recommended and line.startswith("  "):
            missing += [word for word in line.split() if word != "|"]
            continue
        in_recommended = line == _RECOMMENDED
        if not (found := _STEP.match(line)):
            continue
        verb, name, old, version, origins = found.groups()
        if verb == "Remv":
            removed.append(name)
        elif version:
            installed.append(Step(name, version, old or "", _LOCAL in (origins or "")))
    return Plan(tuple(installed), tuple(removed), tuple(missing))
