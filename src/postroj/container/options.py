"""What can be chosen of a machine's isolation and of its limits."""

import re
from typing import NamedTuple

from postroj.errors import UsageError

PRIVATE, HOST, NONE = "private", "host", "none"

_NETWORK = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


class Publish(NamedTuple):
    """A port of the guest's that the host answers on."""

    address: str
    """The host's address."""
    host_port: int
    guest_port: int


class Options(NamedTuple):
    """The defaults are the safe ones."""

    network: str = PRIVATE
    """`private`, `host`, `none`, or the name of a private network that machines share."""
    publish: tuple[Publish, ...] = ()
    privileged: bool = False
    """Without users of its own, and with all capabilities: the guest's root is the host's."""
    memory: int = 0
    """Bytes of memory, that of files in /tmp and of what it writes to its overlay included; 0: no limit."""
    cpus: float = 0.0
    """How many CPUs' time it may use; 0: no limit."""
    tasks: int = 0
    """How many processes and threads it may have; 0: no limit."""
    disk: int = 0
    """Bytes that it may write to its root file system and /tmp; 0: half of the host's memory, tmpfs(5)."""

    @property
    def has_link(self) -> bool:
        """Whether it has a link to the host, and by that to the outside."""
        return self.network not in (HOST, NONE)

    @property
    def shared_network(self) -> str:
        """The name of the network that it shares; empty where it does not."""
        return "" if self.network in (PRIVATE, HOST, NONE) else self.network

    def check(self) -> None:
        """Raise UsageError for what cannot be."""
        if not _NETWORK.fullmatch(self.network):
            raise UsageError(
                f"'{self.network[:80]}' cannot be a network",
                hint="private, host, none, or a name of your own: lower-case letters, digits, hyphens, 32 at most",
            )
        if self.publish and not self.has_link:
            raise UsageError(f"--publish needs a private network, and there is none with --network={self.network}")
