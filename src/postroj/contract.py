"""The contract that every kind of machine meets: what probes and the harness may ask of a guest."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from postroj.deadline import Deadline


class Completed(NamedTuple):
    """A command that has ended in the guest; `output` is both its streams as they came, bounded to the last 256 KiB."""

    status: int
    output: str
    is_cut: bool = False
    """Whether it has printed more than is in `output`."""


class UnitState(NamedTuple):
    """A unit of the guest's systemd: org.freedesktop.systemd1(5)."""

    load: str
    """LoadState: loaded, not-found, masked, error, bad-setting."""
    active: str
    """ActiveState: active, reloading, inactive, failed, activating, deactivating."""
    sub: str
    """SubState: running, exited, dead, auto-restart, and what else the unit's type has."""
    active_seconds: float
    """How long it has been active without a break; 0 where it is not."""
    restarts: int
    """NRestarts: how often Restart= has restarted it; 0 with systemd before 235, and for what is not a service."""
    result: str
    """Result: success, exit-code, signal, timeout, and others; empty for what is not a service."""
    has_job: bool
    """Whether systemd still has a start, stop or restart of it in its queue."""
    start_seconds: float = 0.0
    """How long its start took; 0 if it is not active."""
    was_tried: bool = False
    """Whether it has left the state inactive since the boot, or systemd has not started it for a condition or an
    assertion; read only while it is inactive."""
    condition: str = ""
    """The first condition or assertion that its last start did not meet, as in its unit file; read only while it is
    inactive."""


class UnitFacts(NamedTuple):
    """How a unit is set up, and how its last start went: read when it is of use, as it takes some milliseconds."""

    enablement: str = ""
    """UnitFileState: enabled, disabled, static, generated, and others; empty for what has no unit file."""
    source: str = ""
    """SourcePath: the init script that it was generated from, for example."""
    triggers: tuple[str, ...] = ()
    """The units that it starts when it is used: the service of a socket, a timer or a path."""
    triggered_by: tuple[str, ...] = ()
    """The sockets, timers and paths that start it."""
    pulled_in_by: tuple[str, ...] = ()
    """The units that want or require it, of those that are loaded."""
    requires: tuple[str, ...] = ()
    """The units without which it does not start."""
    kind: str = ""
    """Type= of a service."""
    user: str = ""
    """User= of a service."""
    start_timeout: float | None = 0.0
    """TimeoutStartSec= of a service, in seconds; None is infinity."""
    exit_status: int = 0
    """ExecMainStatus of a service: systemd.exec(5), Process Exit Codes."""
    listens: tuple[tuple[str, str], ...] = ()
    """What a socket listens on: pairs such as ("Stream", "[::]:80")."""

    @property
    def is_enabled(self) -> bool:
        """Return whether a boot starts it, as far as its unit file lets that be said: systemctl(1), is-enabled."""
        return self.enablement in _ENABLED


_ENABLED = ("enabled", "enabled-runtime", "alias", "generated", "static", "indirect", "linked", "transient")
"""UnitFileState of units that need no `systemctl enable`."""


class UnitWatch(Protocol):
    """Follows one unit."""

    @property
    def name(self) -> str:
        """Its own name, if it was asked for by an alias."""
        ...

    def state(self) -> UnitState:
        """What the unit is now."""
        ...

    def facts(self) -> UnitFacts:
        """Return how the unit is set up, and how its last start went."""
        ...

    def wait(self, seconds: float) -> None:
        """Return when the unit has changed, or after `seconds`."""
        ...


class Process(NamedTuple):
    """A process of a command that runs in the guest."""

    pid: int
    """As the guest counts."""
    name: str
    """As ps(1) shows it: up to 15 characters, which the process chooses."""
    parent: int
    """The PID of its parent, if that is of the command; otherwise 0."""
    is_orphan: bool
    """Whether it has been left alone: no chain of parents leads to the command's main process."""
    reads: frozenset[str]
    """The pipes and connected UNIX sockets that it can read from: `pipe:[1234]`."""
    writes: frozenset[str]
    """The same that it can write to; a socket has the name of the end that is read."""
    is_sleeping: bool = False
    """Whether it waits for something, other than a disk: proc_pid_status(5), State."""
    has_socket: bool = False
    """Whether it has a socket open, by which what it waits for may come; one to a process beside it does not count, nor
    does one that listens."""
    listens: tuple[str, ...] = ()
    """What it listens on, by TCP or a UNIX socket: `0.0.0.0:80`, `/run/x`."""

    def __str__(self) -> str:
        return f"{self.name} (PID {self.pid})"


class Watcher(Protocol):
    """Looks at the processes of a command. What it raises ends the command."""

    def running(self, processes: Sequence[Process]) -> None:
        """Look at a command that runs; called every few seconds."""
        ...

    def expired(self, processes: Sequence[Process]) -> None:
        """Look at a command that has not ended in time, before it is killed."""
        ...

    def ended(self, left: Sequence[Process]) -> None:
        """Look at what a command has left that has ended with success, before it is killed."""
        ...


class Running(NamedTuple):
    """A process of the guest."""

    pid: int
    """As the guest counts."""
    name: str
    """As ps(1) shows it: up to 15 characters, which the process chooses."""
    uid: int
    """Its effective UID, as the guest counts."""
    unit: str
    """The unit that systemd has put it into: `nginx.service`."""
    sockets: frozenset[int]
    """The inodes of the sockets that it has open."""


class Listener(NamedTuple):
    """A socket of the guest that something can be sent to."""

    protocol: str
    """tcp or udp."""
    address: str
    """`0.0.0.0` or `::` for all of them."""
    port: int
    inode: int


class Machine(Protocol):
    """A running guest with systemd."""

    @property
    def name(self) -> str:
        """Its name, unique on this host."""
        ...

    @property
    def deadline(self) -> Deadline:
        """When the time for all that it was started for is up."""
        ...

    def command(
        self,
        argv: Sequence[str],
        *,
        deadline: Deadline,
        env: Mapping[str, str] | None = None,
        watcher: Watcher | None = None,
    ) -> Completed:
        """Run a command as the guest's root, with nothing on its standard input.

        What it leaves running is killed. Raises DeadlineError, with what was printed in `why`, MachineLostError and
        GuestSetupError. A command that is not there ends with status 127.
        """
        ...

    def push(self, path: str, data: bytes) -> None:
        """Write a file in the guest, which its root owns and all may read, and the directories above it that lack.

        No part of the absolute `path` may be a symbolic link. Raises HostError.
        """
        ...

    def watch_unit(self, name: str) -> AbstractContextManager[UnitWatch]:
        """Follow a unit by its full name."""
        ...

    def connect(self, host: str, port: int, timeout: float, *, udp: bool = False) -> int:
        """Open a TCP connection from inside the guest's network and return it as a socket's descriptor.

        `host` as the guest resolves it; `timeout` in seconds. With `udp` it is a socket that sends to this address.
        Raises OSError as connect(2) does, and for a name that does not resolve.
        """
        ...

    def connect_path(self, path: str, timeout: float) -> int:
        """Connect to a stream socket in the guest's file system, and return the connection's descriptor.

        Raises OSError, also if a part of the absolute `path` is a symbolic link.
        """
        ...

    def failed_units(self) -> list[str]:
        """Return the names of all units that are in the state failed, or that have ended and wait for Restart=."""
        ...

    def restarts(self) -> dict[str, int]:
        """Return how often Restart= has restarted the services that are active or activating; those that it has."""
        ...

    def free_bytes(self) -> int:
        """How much more the guest can write to its root file system."""
        ...

    def out_of_memory(self) -> int:
        """How many processes in it fell to the kernel's out-of-memory killer; 0 also where nobody counts."""
        ...

    def listening_sockets(self) -> list[str]:
        """The TCP addresses that something in the guest listens on, as `address:port`."""
        ...

    def listeners(self) -> list[Listener]:
        """The sockets of TCP that listen, and those of UDP that are bound and not connected."""
        ...

    def processes(self) -> list[Running]:
        """Return the processes of the guest, the first 10,000 of them."""
        ...
