"""What apt-get is about to do, as `apt-get --simulate` tells it."""

import re

from postroj.family.plan import Plan, Step

_STEP = re.compile(r"(Inst|Remv) ([^\s:]+)(?::\S+)?(?: \[([^\]]*)\])?(?: \((\S+) (.*?)(?:\[[^\]]*\])?\))?")
_RECOMMENDED = "Recommended packages:"
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
