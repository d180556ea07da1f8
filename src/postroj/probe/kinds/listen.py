"""Something listens on a port: which process, of which unit, on which addresses."""

import ipaddress
from typing import Annotated, NamedTuple

from postroj.contract import Listener
from postroj.deadline import Deadline
from postroj.probe.judge import Scene, Seen, of
from postroj.probe.unit import unit_name
from postroj.probe.values import Key, Text, Timeout

_LONGEST_NAME = 15


class Port(NamedTuple):
    """A port, and the protocol of it."""

    number: int
    protocol: str = "tcp"

    def __str__(self) -> str:
        return str(self.number) if self.protocol == "tcp" else f"{self.number}/{self.protocol}"


def _port(operator: str, written: str) -> Port:
    number, _, protocol = written.partition("/")
    if not (number.isascii() and number.isdigit() and len(number) < 6 and 0 < int(number) < 65536):
        raise ValueError("is not a port")
    if "/" in written and protocol not in ("tcp", "udp"):
        raise ValueError("is not a port of tcp or udp")
    return Port(int(number), protocol or "tcp")


def _addresses(operator: str, written: str) -> Text:
    for word in written.split(","):
        ipaddress.ip_address(word)  # its ValueError is a sentence about the word
    return Text(operator, ",".join(sorted(str(ipaddress.ip_address(word)) for word in written.split(","))))


def _process(operator: str, written: str) -> Text:
    return Text(operator, written)


def _unit(operator: str, written: str) -> Text:
    return Text(operator, unit_name(written))


class Listen(NamedTuple):
    """Something listens on a port, of TCP or UDP."""

    port: Annotated[Port, Key(_port, "listen 53/udp", "PORT, or PORT/udp")]
    process: Annotated[Text | None, Key(_process, "process=nginx", "the name of a process that has it open")] = None
    unit: Annotated[Text | None, Key(_unit, "unit=nginx", "the unit of a process that has it open")] = None
    address: Annotated[
        Text | None,
        Key(
            _addresses,
            "address=127.0.0.1,::1",
            "all addresses that it listens on, `0.0.0.0` and `::` for any; with `!=`, none of these",
            ("=", "!="),
        ),
    ] = None
    timeout: Timeout = None

    def look(self, scene: Scene, until: Deadline) -> Seen:
        """Look once; see Check."""
        listeners = scene.machine.listeners()
        wanted = (self.port.protocol, self.port.number)
        found = [one for one in listeners if (one.protocol, one.port) == wanted]
        if not found:
            others = sorted({f"{one.address} port {one.port}/{one.protocol}" for one in listeners})
            return Seen(False, f"nothing listens on port {self.port}", "\n".join(others))
        addresses = sorted({one.address for one in found})
        good, clauses = f"on {', '.join(addresses)}", [self._wrong_addresses(addresses)]
        if self.process or self.unit:
            names, units = _owners(scene, found)
            clauses += [_wrong("process", self.process, names, _LONGEST_NAME), _wrong("unit", self.unit, units)]
            good = f"{', '.join(names)} of {', '.join(units)} {good}"
        return of(f"listens: {good}", clauses)

    def _wrong_addresses(self, addresses: list[str]) -> str:
        if not self.address:
            return ""
        wanted = self.address.value.split(",")
        if self.address.is_negated and not set(wanted).intersection(addresses):
            return ""
        if not self.address.is_negated and wanted == addresses:
            return ""
        return f"address: expected {self.address.expected()}, got {','.join(addresses)}"


def _owners(scene: Scene, listeners: list[Listener]) -> tuple[list[str], list[str]]:
    """Return the names and the units of the processes that have one of the sockets open."""
    inodes = {one.inode for one in listeners}
    owners = [one for one in scene.machine.processes() if one.sockets & inodes]
    return sorted({one.name for one in owners}), sorted({one.unit for one in owners})


def _wrong(key: str, expected: Text | None, found: list[str], longest: int | None = None) -> str:
    if not expected or expected.value[:longest] in found:
        return ""
    return f"{key}: expected {expected.value}, got {', '.join(found) or 'none'}"
