"""Private networks that machines share: who is on which, and the names by which they find each other.

    /run/postroj/.slot-3/member        "lab db": the machine db, of slot 3, is on the network lab
    /run/postroj/.network-lab/hosts    what its machines have as /etc/hosts

Each machine keeps the link of its own; the host routes between those of one network.
"""

import os
from contextlib import suppress

from postroj.container.slot import Slot, shared, slots
from postroj.settings import RUNTIME_DIR

_LOCALHOST = "127.0.0.1 localhost\n::1 localhost ip6-localhost\n"
_MEMBER = "member"


def join(slot: Slot, name: str, network: str) -> str:
    """Put a machine on a network; return the hosts file of the network, which follows who comes and goes."""
    with shared():
        with open(os.path.join(slot.path, _MEMBER), "w") as file:
            file.write(f"{network} {name}")
        _write_hosts(network)
    return _hosts_file(network)


def leave(slot: Slot) -> None:
    """Take a machine off its network, if it is on one; the last one takes the network with it."""
    with shared():
        found = _member(slot)
        if found:
            os.unlink(os.path.join(slot.path, _MEMBER))
            _write_hosts(found[0])


def groups(*, without: Slot | None = None) -> list[list[Slot]]:
    """The slots that are on a network together; `without` one that is about to leave."""
    networks: dict[str, list[Slot]] = {}
    for slot in slots():
        found = _member(slot)
        if found and slot.number != (without.number if without else None):
            networks.setdefault(found[0], []).append(slot)
    return list(networks.values())


def is_member(slot: Slot) -> bool:
    """Whether the machine is on a network with others."""
    return _member(slot) is not None


def _member(slot: Slot) -> tuple[str, str] | None:
    try:
        with open(os.path.join(slot.path, _MEMBER)) as file:
            network, _, name = file.read().partition(" ")
    except FileNotFoundError:
        return None
    return (network, name) if name else None  # else killed while it wrote: it never was on the network


def _hosts_file(network: str) -> str:
    return os.path.join(RUNTIME_DIR, f".network-{network}", "hosts")


def _write_hosts(network: str) -> None:
    """In place, for the guests that have it mounted."""
    path = _hosts_file(network)
    members = [(slot.guest_address, found[1]) for slot in slots() if (found := _member(slot)) and found[0] == network]
    if not members:
        with suppress(FileNotFoundError):
            os.unlink(path)
            os.rmdir(os.path.dirname(path))
        return
    text = _LOCALHOST + "".join(f"{address} {name}\n" for address, name in members)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644), "w") as file:
        file.write(text)
        file.truncate()
