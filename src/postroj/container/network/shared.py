"""Private networks that machines share: who is on which, and the names by which they find each other.

    /run/postroj/.slot-3/member        "lab db": the machine db, of slot 3, is on the network lab
    /run/postroj/.network-lab/hosts    what its machines have as /etc/hosts

Each machine keeps the link of its own; the host routes between those of one network.
"""

import os
from contextlib import suppress

from postroj.container.host.slot import Slot, lock_runtime_dir, slots
from postroj.settings import RUNTIME_DIR

_LOCALHOST = "127.0.0.1 localhost\n::1 localhost ip6-localhost\n"
_MEMBER = "member"
_NETWORK = ".network-"


def join(slot: Slot, name: str, network: str) -> str:
    """Put a machine on a network; return the hosts file of the network, which follows who comes and goes."""
    with lock_runtime_dir():
        with open(os.path.join(slot.path, _MEMBER), "w") as file:
            file.write(f"{network} {name}")
        _refresh()
    return os.path.join(_directory(network), "hosts")


def leave(slot: Slot) -> None:
    """Take a machine off its network, if it is on one; the last one takes the network with it."""
    with lock_runtime_dir():
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(slot.path, _MEMBER))
        _refresh()


def sweep() -> None:
    """Have the networks be those of the machines that there are."""
    if _there():
        with lock_runtime_dir():
            _refresh()


def groups(*, without: Slot | None = None) -> list[list[Slot]]:
    """The slots that are on a network together; `without` one that is about to leave."""
    left = without.number if without else None
    found = [[slot for slot, _ in members if slot.number != left] for members in _networks().values()]
    return [group for group in found if group]


def is_member(slot: Slot) -> bool:
    """Whether the machine is on a network with others."""
    return _member(slot) is not None


def _networks() -> dict[str, list[tuple[Slot, str]]]:
    networks: dict[str, list[tuple[Slot, str]]] = {}
    for slot in slots():
        found = _member(slot)
        if found:
            networks.setdefault(found[0], []).append((slot, found[1]))
    return networks


def _member(slot: Slot) -> tuple[str, str] | None:
    try:
        with open(os.path.join(slot.path, _MEMBER)) as file:
            network, _, name = file.read().partition(" ")
    except FileNotFoundError:
        return None
    return (network, name) if name else None  # else killed while it wrote: it never was on the network


def _there() -> list[str]:
    """The networks that have a directory."""
    try:
        return [name.removeprefix(_NETWORK) for name in os.listdir(RUNTIME_DIR) if name.startswith(_NETWORK)]
    except FileNotFoundError:
        return []


def _directory(network: str) -> str:
    return os.path.join(RUNTIME_DIR, f"{_NETWORK}{network}")


def _refresh() -> None:
    """Have each network's directory and its hosts file as its members want it."""
    networks = _networks()
    for network, members in networks.items():
        os.makedirs(_directory(network), exist_ok=True)
        text = _LOCALHOST + "".join(f"{slot.guest_address} {name}\n" for slot, name in members)
        # In place, for the guests that have it mounted.
        with open(os.open(os.path.join(_directory(network), "hosts"), os.O_WRONLY | os.O_CREAT, 0o644), "w") as file:
            file.write(text)
            file.truncate()
    for network in set(_there()) - set(networks):
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(_directory(network), "hosts"))
        os.rmdir(_directory(network))
