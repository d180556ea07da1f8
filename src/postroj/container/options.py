"""What can be chosen of a machine's isolation and of its limits."""

import re
from typing import NamedTuple

from postroj.errors import UsageError

LEAST_CPUS, MOST_CPUS = 0.01, 8192
LEAST_TASKS, MOST_TASKS = 16, 9_999_999
"""Fewer tasks cannot boot a system."""
LOOPBACK = "127.0.0.1"
"""Where ports are published by default."""
_LEAST_SIZE, _MOST_SIZE = 1 << 20, 1 << 50
_SIZE = re.compile(r"([0-9]{1,12})([KMGT]?)")
_PORTS = re.compile(r"(?:(?P<address>\[[0-9a-fA-F:]+\]|[0-9.]+):)?(?P<host>[0-9]{1,5}):(?P<guest>[0-9]{1,5})(?:/tcp)?")

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


def option_of(field: str) -> str:
    """Return what the option is called that a field of Options is asked for by, without hyphens before it."""
    return "capability" if field == "capabilities" else field.replace("_", "-")


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
        for what, value, least, most in (
            ("a number of bytes of memory", self.memory, _LEAST_SIZE, _MOST_SIZE),
            ("a number of bytes of disk", self.disk, _LEAST_SIZE, _MOST_SIZE),
            ("a number of CPUs", self.cpus, LEAST_CPUS, MOST_CPUS),
            ("a number of tasks", self.tasks, LEAST_TASKS, MOST_TASKS),
        ):
            if value and not least <= value <= most:
                raise UsageError(f"{value} is not {what}: {least} to {most}")
        if self.network in _DOCKERS:
            raise UsageError(
                f"--network={self.network} is a word of docker's or podman's",
                hint="leave it out for a network of the machine's own; a network that machines share has another name",
            )
        for name in self.capabilities:
            _check_capability(name, privileged=self.privileged)
        if self.publish and not self.has_link:
            raise UsageError(f"--publish needs a private network, and there is none with --network={self.network}")


def read_size(text: str) -> int:
    """Return a number of bytes, given with the suffixes of systemd.resource-control(5), to the base of 1024.

    Raises UsageError.
    """
    match = _SIZE.fullmatch(text)
    size = int(match[1]) << 10 * " KMGT".index(match[2] or " ") if match else 0
    if not _LEAST_SIZE <= size <= _MOST_SIZE:
        raise UsageError(f"'{text[:80]}' is not a size: write 1M to 1024T, such as 512M")
    return size


def read_publish(text: str) -> Publish:
    """Return the published port that a text describes: HOST_PORT:PORT or ADDRESS:HOST_PORT:PORT. Raises UsageError."""
    match = _PORTS.fullmatch(text)
    if not match or not all(0 < int(match[port]) < 65536 for port in ("host", "guest")):
        what = f"'{text[:80]}' is not HOST_PORT:PORT or ADDRESS:HOST_PORT:PORT (TCP)"
        raise UsageError(f"{what}{_mended(text)}")
    import ipaddress  # 4 ms, that are not for every start

    try:
        address = ipaddress.ip_address((match["address"] or LOOPBACK).strip("[]"))
    except ValueError as error:
        raise UsageError(f"'{text[:80]}': {error}") from error
    return Publish(str(address), int(match["host"]), int(match["guest"]))


def _mended(text: str) -> str:
    """Return what to write for what docker takes besides, as a clause; empty for anything else."""
    if re.fullmatch("[0-9]{1,5}(/tcp)?", text):
        port = text.partition("/")[0]
        return f": no port of the host is chosen; for the same one write {port}:{port}"
    if re.fullmatch(".*/(udp|sctp)", text):
        return f": {text.rpartition('/')[2].upper()} ports are not published"
    if re.fullmatch(r"[^-]*[0-9]-[0-9]+:[0-9]+-[0-9]+(/tcp)?", text):
        return ": a range of ports is not taken; repeat the option for each"
    return ""


def read_capability(text: str) -> str:
    """Return the name of a capability, given as systemd and Docker write it: with or without CAP_, in either case."""
    name = text.upper()
    return name if name.startswith("CAP_") else f"CAP_{name}"


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
