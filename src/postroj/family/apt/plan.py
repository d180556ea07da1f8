"""What apt-get is about to do, as `apt-get --simulate` tells it."""

import re
from itertools import takewhile

from postroj.family.plan import Plan, Step

_STEP = re.compile(r"(Inst|Remv) ([^\s:]+)(?::\S+)?(?: \[([^\]]*)\])?(?: \((\S+) (.*?)(?:\[[^\]]*\])?\))?")
_RECOMMENDED = "Recommended packages:"
_REMOVED = "The following packages will be REMOVED:"
_LOCAL = "local-deb"
"""The origin of a version that comes from a file."""


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


def read_removed(output: str) -> list[str]:
    """Return the packages that apt-get says it removes; one that it purges has an asterisk there."""
    lines = output.splitlines()
    begin = lines.index(_REMOVED) + 1 if _REMOVED in lines else len(lines)
    listed = takewhile(lambda line: line.startswith("  "), lines[begin:])
    return [word.rstrip("*") for line in listed for word in line.split()]
