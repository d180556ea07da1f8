"""Rules of machines that belong to a postroj with another /run, in the same network namespace: they are kept.

Each postroj writes the table `inet postroj` whole, from what is noted in its own /run/postroj.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from postroj import process
from postroj.container.host.slot import PREFIX, slots
from postroj.errors import ToolError

LIST_TABLE = ["nft", "list", "table", "inet", "postroj"]
_NAME = re.compile(rf'"({PREFIX}[0-9]+)"')
_REDIRECT = re.compile(r"iifname .* redirect to :")
_TOGETHER = re.compile(r"iifname .* oifname .* accept")
_WAY = re.compile(r"iifname .* dport .* accept")
_CLOSED = f'iifname != "{PREFIX}*" oifname != "{PREFIX}*" drop'


class Kept(NamedTuple):
    """Lines of the table."""

    redirects: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    ways: tuple[str, ...] = ()
    was_closed: bool = False
    """Whether the host did not forward before the first machine."""


@contextmanager
def apart() -> Iterator[None]:
    """Keep others out of this network namespace's links and rules, whatever /run they have.

    Taken after `lock_runtime_dir`. The file of a namespace is the same for all that are in it: namespaces(7).
    """
    with open("/proc/self/ns/net", "rb") as namespace:
        fcntl.flock(namespace, fcntl.LOCK_EX)
        yield


def interfaces() -> set[str]:
    """Return the names of all links of machines in this network namespace, whosever they are."""
    return {name for name in os.listdir("/sys/class/net") if name.startswith(PREFIX)}


def kept() -> Kept:
    """Return the rules that are about machines of others only; none if there are no such machines."""
    foreign = interfaces() - {slot.interface for slot in slots()}
    if not foreign:
        return Kept()
    try:
        table = process.run(LIST_TABLE)
    except ToolError:  # none of them is up
        return Kept()
    return read(table, foreign)


def read(table: str, foreign: set[str]) -> Kept:
    """Return the rules of a table, as `nft list` prints it, that are about these interfaces only."""
    lines = [line.strip() for line in table.splitlines()]
    theirs = [line for line in lines if (names := set(_NAME.findall(line))) and names <= foreign]
    redirects, together, ways = (
        tuple(line for line in theirs if rule.match(line)) for rule in (_REDIRECT, _TOGETHER, _WAY)
    )
    return Kept(redirects, together, ways, _CLOSED in lines)
