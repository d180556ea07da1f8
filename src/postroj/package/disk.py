"""Whether a guest's disk is full, which is not the package's fault."""

import re

from postroj.contract import Completed, Machine
from postroj.errors import HostError
from postroj.lastwords import end_of

_FULL = "No space left on device"
_NEEDED = re.compile(
    r"^[ \t]*(?:- )?installing package \S+ needs \d+\S* more space on the \S+ filesystem$", re.MULTILINE
)
"""What rpm says before it begins, however much is left."""
_NEARLY_FULL = 64 << 20
"""Bytes that are left at most: a program that met the end of the disk may have removed what it wrote."""


def check(machine: Machine, done: Completed, what: str) -> None:
    """Raise HostError if a command has failed because the guest's disk is full; `what` is what could not be done."""
    if done.status == 0:
        return
    if _NEEDED.search(done.output) or (_FULL in done.output and machine.free_bytes() < _NEARLY_FULL):
        raise HostError(
            f"the guest's disk is full: {what}",
            why=end_of(done.output),
            hint="give it more by --disk; without it, it has half of the host's memory",
        )
