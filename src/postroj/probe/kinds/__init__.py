"""The kinds of checks: a table. Each is a module of this package, with its model and how it is looked at."""

from typing import NamedTuple

NETWORK_SECONDS = 30.0
"""How long an address may take to answer, by default."""


class Kind(NamedTuple):
    """A kind of check, of the module of its name."""

    model: str
    """The name of its class."""
    seconds: float | None = 0.0
    """How long it is waited for by default; None for --network-timeout. 0: what is so then is so."""
    last: bool = False
    """Whether it is looked at after the units' stay, as what it tells may come late."""
    is_network: bool = False
    """Whether it asks an address of the machine's network."""
    needs: str = ""
    """The one of the machine's capabilities that it needs; empty for none."""


KINDS = {
    "unit": Kind("Unit", last=True),
    "tcp": Kind("Tcp", None, is_network=True),
    "udp": Kind("Udp", None, is_network=True),
    "unix": Kind("Unix", None, needs="linux"),
    "http": Kind("Http", None, is_network=True),
    "listen": Kind("Listen", None),
    "command": Kind("Command"),
    "file": Kind("File", 5.0),
    "user": Kind("User", needs="linux"),
    "group": Kind("Group", needs="linux"),
    "package": Kind("Package"),
    "journal": Kind("Journal", last=True, needs="systemd"),
    "process": Kind("Process", 5.0),
    "sysctl": Kind("Sysctl", needs="linux"),
}
