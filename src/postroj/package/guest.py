"""The family of a guest of which no image tells: a VM of somebody else's box."""

from typing import NamedTuple

from postroj import family as families
from postroj.contract import Machine
from postroj.deadline import Deadline

# The script is fixed; the paths are its arguments.
_WHICH = 'for path; do test -e "/$path" && echo "$path"; done; exit 0'


class Guest(NamedTuple):
    """A guest, for package.reference.check_all_fit."""

    name: str
    family: str
    """Empty if it has no package manager that is known."""
    architecture: str


def look(machine: Machine, name: str, family: str, *, deadline: Deadline) -> Guest:
    """Ask a guest for its family, unless it is known, and for its architecture."""
    family = family or machine.system.family or _detect(machine, deadline)
    if not family:
        return Guest(name, "", "")
    told = machine.command(families.load(family).ask_facts(), deadline=deadline).output
    facts = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    return Guest(name, family, facts.get("architecture", "").strip())


def _detect(machine: Machine, deadline: Deadline) -> str:
    known = (*families.NAMES, *families.OF_VMS)
    tools = {tool: name for name in reversed(known) for tool in families.load(name).tools}
    found = machine.command(["sh", "-c", _WHICH, "sh", *tools], deadline=deadline).output.splitlines()
    names = {tools[tool] for tool in found if tool in tools}
    return next((name for name in known if name in names), "")
