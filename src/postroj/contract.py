"""The contract that every kind of machine meets: what probes and the harness may ask of a guest."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import IO, NamedTuple, Protocol

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
    file: str = ""
    """The path of its unit file; empty if it has none. Before systemd 250 it may be /dev/null."""
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
    conflicts: tuple[str, ...] = ()
    """The units that do not run together with it: one that is started stops the others."""
    refuses_start: bool = False
    """RefuseManualStart: only other units start it."""
    kind: str = ""
    """Type= of a service."""
    user: str = ""
    """User= of a service."""
    start_timeout: float | None = 0.0
    """TimeoutStartSec= of a service, in seconds; None is infinity."""
    exit_status: int = 0
    """ExecMainStatus of a service: systemd.exec(5), Process Exit Codes."""
    main_pid: int = 0
    """MainPID of a service, as the guest counts; 0 for none."""
    watchdog_seconds: float = 0.0
    """WatchdogSec= of a service that runs; 0 for none."""
    sends_watchdog: bool = False
    """Whether it has sent WATCHDOG=1 since it became active: sd_notify(3)."""
    can_reload: bool = False
    """Whether `systemctl reload` has something to do."""
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


class Command(Protocol):
    """A command that was started in the guest."""

    def wait(self, deadline: Deadline) -> int:
        """Return its exit status when it has ended. Raises DeadlineError, and it goes on then; MachineLostError."""
        ...

    def send_signal(self, signum: int) -> None:
        """Send a signal to all its processes, if it has not ended."""
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


class Change(NamedTuple):
    """A file of the guest, of any kind, that is not as it is in the image."""

    what: str
    """added, changed or removed; a directory that was removed stands for all that was in it."""
    kind: str
    """file, directory, link, fifo, socket, character device or block device."""
    mode: int
    """Its permissions, as chmod(1) takes them. All this is the image's of what was removed."""
    uid: int
    """Its owner, as the guest counts."""
    gid: int
    size: int
    modified: int
    """When it was written to, in nanoseconds since 1970: two looks at the guest tell so what was written between."""
    target: str = ""
    """Where a symbolic link leads."""


class Changes(NamedTuple):
    """What a guest has changed on its root file system; not what it has in /tmp, /run, and what else is mounted."""

    files: dict[str, Change]
    """By absolute path. A name that is not UTF-8 has surrogates in it: os.fsencode gives its bytes."""
    is_cut: bool = False
    """Whether there are more than are here: 200,000, or deeper than 100 directories."""


class System(Protocol):
    """What a guest's operating system does with services; units are named as systemd names them: `nginx.service`.

    Its commands raise as `Machine.command` does.
    """

    @property
    def name(self) -> str:
        """What it is called in a message: systemd, Windows."""
        ...

    @property
    def family(self) -> str:
        """The family of all guests with it; empty if they have several."""
        ...

    def read_again(self, *, deadline: Deadline) -> None:
        """Have it look for services that it has not read yet."""
        ...

    def enable(self, names: Sequence[str], *, deadline: Deadline) -> Completed:
        """Have boots start them."""
        ...

    def start(self, names: Sequence[str], *, wait: bool, deadline: Deadline) -> Completed:
        """Start them; without `wait` it returns at once."""
        ...

    def restart(self, names: Sequence[str], *, deadline: Deadline) -> Completed:
        """Stop and start them."""
        ...

    def reload(self, name: str, *, deadline: Deadline) -> Completed:
        """Have one read its configuration again: UnitFacts.can_reload."""
        ...

    def bar(self, names: Sequence[str], *, masked: bool, deadline: Deadline) -> Completed:
        """Stop them, and have no boot start them; if `masked`, nothing else either."""
        ...

    def unbar(self, names: Sequence[str], *, deadline: Deadline) -> Completed:
        """Let those be started again that were masked; they stay stopped and disabled."""
        ...

    def why(self, name: str) -> str:
        """Return in a few words why one is not active; empty if it does not say."""
        ...

    def shown(self, name: str) -> str:
        """Return what it shows of one, as lines."""
        ...

    def file(self, path: str, *, deadline: Deadline) -> "FileFacts | None":
        """Return what has a path; None for nothing."""
        ...


class FileFacts(NamedTuple):
    """What is known of a file, without Capabilities.linux."""

    kind: str
    """file or directory."""
    size: int
    owner: str


class Capabilities(NamedTuple):
    """What a kind of machine can do that not all can; what it cannot raises HostError."""

    reboot: bool
    snapshot: bool
    """`snapshot` and `restore`."""
    changes: bool
    own_kernel: bool = False
    """It has a kernel of its own: what that refuses to its root, it refuses everywhere."""
    linux: bool = True
    """It is Linux: its files, its users and what is left of a package are looked at by the commands that it has."""
    systemd: bool = True
    """It has systemd, whose words and journal tell why a unit is not as it should be."""


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

    def popen(
        self,
        argv: Sequence[str],
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        deadline: Deadline,
        env: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[Command]:
        """Start a command, as `command` does, that runs inside the block, and is killed at its end.

        Its streams are descriptors of files, pipes or sockets; None is /dev/null. `deadline` is for its start.
        """
        ...

    def push(self, path: str, data: bytes | IO[bytes]) -> None:
        """Write a file in the guest, which its root owns and all may read, and the directories above it that lack.

        No part of the absolute `path` may be a symbolic link. Raises HostError.
        """
        ...

    def pull(self, path: str, into: IO[bytes], *, most: int | None = None) -> bool:
        """Write what a file of the guest has into a file of the host, `most` bytes at most; return whether that is all.

        Links are followed as in the guest. Raises HostError if there is no such file, and OSError of `into`.
        """
        ...

    def pull_tree(self, path: str, into: IO[bytes], *, most: int) -> bool:
        """Write a directory of the guest as a tar archive; return whether all of it is there. Raises as `pull` does.

        The names in it are hostile: extract it by tarfile's filter "data" only. Files are left out that would make it
        more than `most` bytes, holes included, and what is deeper than 100 directories, or after 200,000 files;
        sockets, devices and other file systems always.
        """
        ...

    @property
    def system(self) -> System:
        """What its operating system does with services."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do that not all kinds of machine can."""
        ...

    def reboot(self, *, deadline: Deadline) -> None:
        """Have the guest reboot, and return when it has booted: all else works again then.

        Units that are followed are not any more. Raises RebootError if it does not end its shutdown, or does not boot
        again: the machine is lost then, but for `restore`. MachineLostError if something else has ended it, and
        DeadlineError if the machine's own time is up.
        """
        ...

    def snapshot(self, *, deadline: Deadline) -> int:
        """Reboot it, and keep what is on its root file system in between; return the snapshot's number, 1 and up.

        Raises as `reboot` does.
        """
        ...

    def restore(self, snapshot: int | None = None, *, deadline: Deadline) -> None:
        """Kill it, and boot it as it was at a snapshot: the last one, or by its number. 0 is the image.

        Later snapshots are forgotten. Works also after a reboot that has failed. Raises as `reboot` does.
        """
        ...

    def changes(self) -> Changes:
        """Return what differs from the image, whatever snapshots there are. A file that was only touched does not."""
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

    def loaded_units(self) -> list[str]:
        """Return the names of the services, sockets, timers and paths that systemd has loaded, running or not."""
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
