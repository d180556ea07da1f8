"""What can be chosen of a machine's isolation and of its limits."""

import re
from typing import NamedTuple

from postroj.errors import UsageError

PRIVATE, HOST, NONE = "private", "host", "none"

_NETWORK = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")

_DOCKERS = ("bridge", "default", "podman", "pasta", "slirp4netns")
"""What docker and podman call networks that are there without being made, and that each container has to itself."""

CAPABILITIES = frozenset(
    f"CAP_{name}"
    for name in (
        "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN",
        "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE",
        "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST",
        "NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT",
        "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG",
        "WAKE_ALARM",
    )
)  # fmt: skip
"""All there are, up to Linux 6.18: capabilities(7)."""


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
    capabilities: tuple[str, ...] = ()
    """Further capabilities(7) by name, such as CAP_SYS_TIME, within the guest's user namespace."""
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
        if self.network in _DOCKERS:
            raise UsageError(
                f"--network={self.network} is a word of docker's or podman's",
                hint="leave it out for a network of the machine's own; a network that machines share has another name",
            )
        for name in self.capabilities:
            _check_capability(name, privileged=self.privileged)
        if self.publish and not self.has_link:
            raise UsageError(f"--publish needs a private network, and there is none with --network={self.network}")


def _check_capability(name: str, *, privileged: bool) -> None:
    from postroj.limits import KERNEL_CAPABILITIES

    if name not in CAPABILITIES:
        close = [known for known in sorted(CAPABILITIES) if known.startswith(name[:7])]
        hint = f"capabilities(7) lists them; {', '.join(close[:6])}" if close else "capabilities(7) lists them"
        raise UsageError(f"'{name[:80]}' is not a capability", hint=hint)
    if name in KERNEL_CAPABILITIES and not privileged:
        raise UsageError(
            f"{name} is for what a machine shares with this host, and would break its isolation",
            hint="--privileged gives up isolation, and has all capabilities",
        )
