"""Whether a guest's disk is full, which is not the package's fault."""

import re

from postroj.contract import Machine
from postroj.errors import HostError
from postroj.lastwords import end_of

_FULL = (
    "No space left on device",
    *("Failed writing received data", "Failure writing output to destination", "(Write failed)"),
)
"""As the kernel words it; and libcurl and libarchive, which do not say what kept them from writing."""
_NEEDED = re.compile(
    r"^[ \t]*(?:- )?installing package \S+ needs \d+\S* more space on the \S+ filesystem$"
    r"|^error: Partition \S+ too full: \d+ blocks needed, ",
    re.MULTILINE,
)
"""What rpm and pacman say before they begin, however much is left."""
_NEARLY_FULL = 64 << 20
"""Bytes that are left at most: a program that met the end of the disk may have removed what it wrote."""


def check(machine: Machine, output: str, what: str) -> None:
    """Raise HostError if what has failed, and printed this, has met the end of the guest's disk.

    `what` is what could not be done.
    """
    if _NEEDED.search(output) or (any(one in output for one in _FULL) and machine.free_bytes() < _NEARLY_FULL):
        raise HostError(
            f"the guest's disk is full: {what}",
            why=end_of(output),
            hint="give it more by --disk; without it, it has half of the host's memory",
        )
