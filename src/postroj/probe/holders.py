"""Which process of which unit holds a port of the guest."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from postroj.contract import Listener, Machine, Running
from postroj.errors import PostrojError

PID_1 = "init.scope"
"""The unit of systemd itself, which listens for socket units."""


class Holder(NamedTuple):
    """A process that listens on a port."""

    port: int
    process: str
    unit: str

    def __str__(self) -> str:
        return f"{self.process} of {self.unit}" if self.unit else self.process


def holders(
    machine: Machine, ports: Iterable[int] | None = None, *, protocols: Collection[str] = ("tcp",)
) -> list[Holder]:
    """Return who listens on these ports, or on any; nothing if that cannot be found out."""
    try:
        wanted = None if ports is None else set(ports)
        listeners = [one for one in machine.listeners() if one.protocol in protocols]
        there = [one for one in listeners if wanted is None or one.port in wanted]
        return _of(there, machine.processes()) if there else []
    except (PostrojError, OSError):  # only evidence: the verdict stands without it
        return []


def ports(machine: Machine) -> set[int]:
    """Return the ports of TCP on which something listens; all of them if that cannot be found out."""
    try:
        return {one.port for one in machine.listeners() if one.protocol == "tcp"}
    except (PostrojError, OSError):
        return set(range(1 << 16))


def foreign(machine: Machine, port: int, units: Collection[str]) -> str:
    """Return who answers on a port if it is of none of these units: `webfsd of webfs.service`; empty otherwise."""
    if not any(unit.endswith(".service") for unit in units):
        return ""
    found = holders(machine, [port])
    if any(one.unit in (*units, PID_1, "") for one in found):
        return ""
    return str(found[0]) if found else ""


def _of(listeners: Sequence[Listener], processes: Sequence[Running]) -> list[Holder]:
    owners = {inode: one for one in reversed(processes) for inode in one.sockets}
    pairs = ((one.port, owners[one.inode]) for one in listeners if one.inode in owners)
    return sorted({Holder(port, owner.name, owner.unit) for port, owner in pairs})
