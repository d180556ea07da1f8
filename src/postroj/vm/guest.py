"""A guest of a VM: all that is asked of it goes by ssh, and to its systemd by its bus."""

import math
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import IO, TYPE_CHECKING, NamedTuple

from postroj import process, sockets
from postroj.capture import captured, sink_into
from postroj.contract import Completed, Listener, Running
from postroj.deadline import NEVER, Deadline
from postroj.errors import HostError, MachineLostError
from postroj.events import about
from postroj.streams import Streams
from postroj.systemd import units
from postroj.systemd.bus import Bus
from postroj.vm import commands, connecting, files, processes
from postroj.vm.ssh import Connection

if TYPE_CHECKING:
    from postroj.contract import Command, Process, UnitWatch, Watcher

BUS = "/run/dbus/system_bus_socket"
ASK_SECONDS = 300.0
"""How long a guest may take for an answer: one that is emulated, on a host with much to do, has taken a minute."""
_CONNECT_SECONDS = 300.0
AGAIN_SECONDS = 0.2
"""How long is waited before a connection is tried again."""
_OWN_PORTS = (22, 5355)
_OWN_ADDRESSES = ("127.0.0.53", "127.0.0.54")
"""Where systemd-resolved listens: systemd-resolved.service(8)."""

_MOST_TOLD = 16 << 20
"""More than this of an answer, in bytes, is not read."""
_CLOCKS = "cut -d ' ' -f 1 /proc/uptime && date +%s.%N && cat /proc/sys/kernel/random/boot_id"
_MOST_BEHIND = 0.5
# Of a limit in the guest, such as MemoryMax= of a unit, the kernel says `Memory cgroup out of memory`: that one is met
# on any machine. Programs can write to this log, but not as the kernel.
_KILLED = "dmesg --kernel | grep -c 'Out of memory.*: Kill'"


class Answer(NamedTuple):
    """What a command has printed that only looks, and how it has ended."""

    output: bytes
    status: int
    is_cut: bool
    """Whether it has printed more than is read."""


class Guest:
    """What can be asked of a guest, whoever has started its VM, while it is connected."""

    def __init__(self, name: str, deadline: Deadline) -> None:
        self.name = name
        self.deadline = deadline
        self._connection: Connection | None = None
        self._dialled: list[subprocess.Popen[bytes]] = []
        self._killed_before = 0
        self._boot = ""
        """The ID of the boot that was connected to: random(4)."""

    def _opened(self, deadline: Deadline) -> Connection:
        """Return a connection, by which the guest's BUS can be reached. Raises MachineLostError."""
        raise NotImplementedError

    def as_on_host(self, text: str) -> str:
        """Return what was printed in it."""
        return text

    @property
    def proxies(self) -> dict[str, str]:
        """Variables that name the host's proxies: none, as the guest could not reach those on the host's loopback."""
        return {}

    def run(
        self,
        argv: Sequence[str],
        streams: Streams,
        *,
        deadline: Deadline = NEVER,
        env: Mapping[str, str] | None = None,
        workdir: str = "/",
        user: str = "root",
    ) -> int:
        """Run a command with streams of the caller's and return its exit status; what it leaves running is killed."""
        with self._started(argv, streams, env=env, workdir=workdir, user=user) as command:
            return command.wait(deadline)

    @contextmanager
    def popen(
        self,
        argv: Sequence[str],
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        deadline: Deadline,
        env: Mapping[str, str] | None = None,
        workdir: str = "/",
        user: str = "root",
    ) -> "Iterator[Command]":
        """Start a command, with streams of the caller's; see Machine."""
        streams = Streams(stdin, stdout, stderr)
        with self._started(argv, streams, env=env, workdir=workdir, user=user) as command:
            yield command

    def command(
        self,
        argv: Sequence[str],
        *,
        deadline: Deadline,
        env: Mapping[str, str] | None = None,
        watcher: "Watcher | None" = None,
    ) -> Completed:
        """Run a command and capture what it prints; see Machine."""

        def look(unit: str, main: int) -> "list[Process]":
            return processes.of_unit(self._told(["sh", "-c", processes.OF_UNIT, "sh", unit]), main)

        def run(sink: int) -> int:
            streams = Streams(None, sink, sink)
            with self._started(argv, streams, env=env, remains=watcher is not None) as command:
                if watcher:
                    command.watch(watcher, look, deadline)
                return command.wait(deadline)

        return captured(self.name, argv, run)

    @contextmanager
    def _started(
        self,
        argv: Sequence[str],
        streams: Streams,
        *,
        env: Mapping[str, str] | None,
        workdir: str = "/",
        user: str = "root",
        remains: bool = False,
    ) -> "Iterator[commands.Command]":
        with about(self.name), self._explained():
            with commands.started(
                self._there, self._bus, argv, streams, env=env, workdir=workdir, user=user, remains=remains
            ) as command:
                yield command

    @contextmanager
    def terminal(self, user_terminal: int, screen: int = 1) -> Iterator[Streams]:
        """A terminal in the guest, tied to the user's, as the streams of a command; `screen` is what it prints to."""
        yield Streams(user_terminal, screen, screen, terminal=commands.TERMINAL)

    def push(self, path: str, data: "bytes | IO[bytes]") -> None:
        """Write a file in the guest; see Machine."""
        with self._files_explained(f"{path} cannot be written"):
            files.push(self._there, path, BytesIO(data) if isinstance(data, bytes) else data)

    def give(self, directory: str, *, without: Collection[str] = ()) -> None:
        """Write what a directory of the host has over the guest's root, but for some paths. Raises HostError."""
        with self._files_explained("files cannot be written"):
            files.push_tree(self._there, directory, without=without)

    def pack(self, path: str, take: "Callable[[IO[bytes], bool], None]") -> None:
        """Have a tar archive of a file or a directory taken; see `files.pack`. Raises HostError."""
        with self._files_explained(f"{path} cannot be copied"):
            files.pack(self._there, path, take)

    def is_inside(self, path: str, *, is_directory: bool) -> bool:
        """Return whether a copy goes into what a path leads to; see `files.is_inside`. Raises HostError."""
        with self._files_explained(f"{path} cannot be written"):
            return files.is_inside(self._there, path, is_directory=is_directory)

    def unpack(self, directory: str, give: "Callable[[IO[bytes]], None]") -> None:
        """Extract a tar archive into a directory; see `files.unpack`. Raises HostError."""
        with self._files_explained(f"{directory} cannot be written to"):
            files.unpack(self._there, directory, give)

    def pull(self, path: str, into: "IO[bytes]", *, most: int | None = None) -> bool:
        """Read a file of the guest; see Machine."""
        with self._files_explained(f"{path} cannot be read"):
            return files.pull(self._there, path, into, most=most)

    def pull_tree(self, path: str, into: "IO[bytes]", *, most: int) -> bool:
        """Read a directory of the guest; see Machine. One that is larger is not read at all."""
        with self._files_explained(f"{path} cannot be read"):
            return files.pull_tree(self._there, path, into, most=most)

    @contextmanager
    def _files_explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except files.Refused as error:
            if self._there.has_ended():
                raise self._lost(MachineLostError("", why=self._there.said())) from error
            raise HostError(f"{what} in the machine {self.name}: {error}") from error

    @contextmanager
    def watch_unit(self, name: str) -> "Iterator[UnitWatch]":
        """Follow a unit; see Machine."""
        with self._explained(), units.watch(self._bus, name) as followed:
            yield followed

    def failed_units(self) -> list[str]:
        """Return what has failed; see Machine."""
        with self._explained():
            return [unit for unit in units.failed(self._bus) if not unit.startswith("postroj-")]

    def loaded_units(self) -> list[str]:
        """Return what is loaded; see Machine."""
        with self._explained():
            return [unit for unit in units.loaded(self._bus) if not unit.startswith("postroj-")]

    def restarts(self) -> dict[str, int]:
        """Return which services were restarted; see Machine."""
        with self._explained():
            return units.restarts(self._bus)

    def connect(self, host: str, port: int, timeout: float, *, udp: bool = False) -> int:
        """Connect from inside the guest; see Machine."""
        return self._dialled_by(lambda: connecting.connect_to(self._there, host, port, timeout, udp=udp))

    def connect_path(self, path: str, timeout: float) -> int:
        """Connect to a socket in the guest's file system; see Machine."""
        return self._dialled_by(lambda: connecting.connect_path(self._there, path, timeout))

    def _dialled_by(self, dial: "Callable[[], tuple[int, subprocess.Popen[bytes]]]") -> int:
        fd, asked = dial()
        self._dialled = [one for one in self._dialled if one.poll() is None] + [asked]
        return fd

    def free_bytes(self) -> int:
        """How much more the guest can write; see Machine."""
        words = self._told(["df", "--output=avail", "--block-size=1", "/"]).split()
        return _number(words[-1]) if words else 0

    def out_of_memory(self) -> int:
        """How many processes fell to the out-of-memory killer for want of memory of the machine; see Machine."""
        return self._killed_before + self._killed()

    def _killed(self) -> int:
        """Return how many of them the kernel's log has, which begins with a boot."""
        return _number(self._told(["sh", "-c", _KILLED]).strip())

    def listening_sockets(self) -> list[str]:
        """What the guest listens on, but for sshd and systemd-resolved, which each VM has; see Machine."""
        tcp = [one for one in self.listeners() if one.protocol == "tcp"]
        found = [one for one in tcp if one.port not in _OWN_PORTS and one.address not in _OWN_ADDRESSES]
        return sorted({sockets.shown(one) for one in found})

    def listeners(self) -> list[Listener]:
        """Return what can be sent to; see Machine."""
        tables = {f"/proc/net/{protocol}{six}:": protocol for protocol in sockets.STATES for six in ("", "6")}
        told = self._told(["grep", "-Hs", "", *(name.rstrip(":") for name in tables)]).splitlines()
        return [
            one
            for name, protocol in tables.items()
            for one in sockets.listeners(protocol, [line[len(name) :] for line in told if line.startswith(name)])
        ]

    def processes(self) -> list[Running]:
        """Return all processes; see Machine."""
        return processes.of_guest(self._told(["sh", "-c", processes.OF_GUEST]))

    @property
    def _there(self) -> Connection:
        if self._connection is None:
            raise MachineLostError(f"the machine {self.name} is not connected")
        return self._connection

    def _connect(self, deadline: Deadline, *, seconds: float = _CONNECT_SECONDS) -> None:
        """Connect anew; the guest may take so many seconds until it answers. Raises MachineLostError."""
        self._hang_up()
        limit = deadline.sooner(seconds)
        while self._connection is None:
            try:
                self._connection = self._opened(limit)
            except MachineLostError:
                if limit.expired():
                    raise
                time.sleep(AGAIN_SECONDS)  # nothing tells when a VM that was restored answers
        self._attend()

    def _attend(self) -> None:
        """Do what each connection begins with."""
        self._set_clock()
        connected = socket.socket(socket.AF_UNIX)
        connected.settimeout(ASK_SECONDS)
        try:
            connected.connect(self._there.path_of(BUS))
            self._bus = Bus(connected, clock=self._clock, seconds=ASK_SECONDS)
        except OSError as error:
            connected.close()
            raise MachineLostError(f"the bus of the machine {self.name} cannot be reached", why=str(error)) from error

    def _set_clock(self) -> None:
        """Set the guest's clock, which stood still while it was suspended; learn its boot and uptime: proc_uptime(5).

        What is asked of its journal is by our clock, and servers refuse a guest that lives in the past.
        """
        asked = time.monotonic()
        words = self._told(["sh", "-c", _CLOCKS]).split()
        way = (time.monotonic() - asked) / 2
        uptime, now = map(_seconds, words[:2]) if len(words) == 3 else (None, None)
        self._boot = words[-1] if uptime is not None else ""
        self._ahead = 0.0 if uptime is None else uptime - asked - way
        if now is not None and abs(now - time.time() + way) > _MOST_BEHIND + way:
            self._told(["date", f"--set=@{time.time() + way:.6f}"])

    def _clock(self) -> float:
        return time.monotonic() + self._ahead

    def _hang_up(self) -> None:
        if self._connection:
            for one in self._dialled:
                process.stop(one)
            self._dialled = []
            if hasattr(self, "_bus"):
                self._bus.close()
            self._connection.close()
            self._connection = None

    def _boot_id(self) -> str:
        return self._told(["cat", "/proc/sys/kernel/random/boot_id"]).strip()

    def _told(self, words: Sequence[str]) -> str:
        """Return what a command prints that only looks."""
        return self._asked(words).output.decode(errors="replace")

    def _asked(self, words: Sequence[str], *, most: int = _MOST_TOLD, seconds: float = ASK_SECONDS) -> Answer:
        told = bytearray()

        def keep(printed: bytes) -> None:
            told.extend(printed[: most + 1 - len(told)])
            if len(told) > most:
                raise BrokenPipeError  # nobody reads the rest

        with sink_into(keep) as sink:
            asked = process.start(
                self._there.argv(words), stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.DEVNULL
            )
            try:
                status = asked.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                raise MachineLostError(f"the machine {self.name} did not answer within {seconds:g} s") from None
            finally:
                process.stop(asked)
        if self._there.is_lost(status):
            raise self._lost(MachineLostError("", why=self._there.said()))
        return Answer(bytes(told[:most]), status, len(told) > most)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except MachineLostError as error:
            raise self._lost(error) from error

    def _lost(self, error: MachineLostError) -> MachineLostError:
        return MachineLostError(f"the machine {self.name} is lost: it does not answer", why=error.why or error.what)


def _number(told: str) -> int:
    """Return the number that a guest tells; 0 if it is none."""
    return int(told) if told.isdecimal() and len(told) < 20 else 0


def _seconds(told: str) -> float | None:
    """Return the time that a guest tells; None if it is none."""
    try:
        found = float(told)
    except ValueError:
        return None
    return found if math.isfinite(found) else None
