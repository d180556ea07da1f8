"""A VM that has booted, as a machine: all that is asked of it goes by ssh, and to its systemd by its bus."""

import hashlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import IO, TYPE_CHECKING, Protocol

from postroj import process, sockets
from postroj.capture import captured
from postroj.contract import Capabilities, Changes, Completed, Listener, Running
from postroj.deadline import NEVER, Deadline
from postroj.errors import DeadlineError, HostError, MachineLostError, RebootError
from postroj.events import about
from postroj.streams import Streams
from postroj.systemd import units
from postroj.systemd.bus import Bus
from postroj.systemd.system import Systemd
from postroj.vm import commands, connecting, files, listing
from postroj.vm.ssh import Connection, Login

if TYPE_CHECKING:
    from postroj.contract import Command, System, UnitWatch, Watcher

_BUS = "/run/dbus/system_bus_socket"
_ASK_SECONDS = 60.0
_LIST_SECONDS = 600.0
_REBOOT_SECONDS = 600.0
_CONNECT_SECONDS = 120.0
_AGAIN_SECONDS = 0.2

_CLOCKS = "cut -d ' ' -f 1 /proc/uptime && date +%s.%N"
_MOST_BEHIND = 0.5
_PROCESSES = """
for directory in /proc/[0-9]*; do
    grep -q . "$directory/cmdline" || continue
    echo "PID ${directory#/proc/}"
    grep -E '^(Name|Uid):' "$directory/status"
    grep '^0::' "$directory/cgroup"
    find "$directory/fd" -lname 'socket:*' -printf '%l\\n'
done 2>/dev/null
"""
_UNITS = (".service", ".scope", ".socket", ".mount", ".swap")


class Power(Protocol):
    """What can be done to a VM from outside; `warm` has the one that Vagrant does."""

    def save(self, number: int) -> None:
        """Keep the VM as it is, as a snapshot."""

    def restore(self, number: int) -> None:
        """Have it as it was at a snapshot; 0 is as it was at the start."""


class VirtualMachine:
    """A machine; see contract.Machine. A context manager: inside the block it can be asked."""

    _forwarded: Sequence[str] = (_BUS,)
    """Sockets of the guest that are connected to."""

    def __init__(
        self,
        name: str,
        login: Login,
        power: Power,
        *,
        brought: Sequence[tuple[str, str]] = (),
        deadline: Deadline = NEVER,
    ) -> None:
        """`brought` are files of the host, each with the path that it is to have in the guest after each boot."""
        self.name = name
        self.deadline = deadline
        self._login = login
        self._power = power
        self._brought = brought
        self._snapshots = 0
        self._connection: Connection | None = None
        self._dialled: list[subprocess.Popen[bytes]] = []
        self._list = os.path.join(os.path.dirname(login.known_hosts), "files")
        self._has_list = False

    def __enter__(self) -> "VirtualMachine":
        self._connect(self.deadline)
        self._list_files()
        self._bring_files()
        return self

    def __exit__(self, *exc: object) -> None:
        self._hang_up()

    def as_on_host(self, text: str) -> str:
        """Return what was printed in it."""
        return text

    @property
    def system(self) -> "System":
        """What its systemd does; see Machine."""
        return Systemd(self)

    @property
    def capabilities(self) -> Capabilities:
        """What it can do; see Machine."""
        return Capabilities(reboot=True, snapshot=True, changes=self._has_list, own_kernel=True)

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
        """Run a command and capture what it prints; see Machine. A watcher is told of its end only."""

        def run(sink: int) -> int:
            try:
                status = self.run(argv, Streams(None, sink, sink), deadline=deadline, env=env)
            except DeadlineError:
                if watcher:
                    watcher.expired([])
                raise
            if watcher:
                watcher.ended([])
            return status

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
    ) -> "Iterator[Command]":
        with about(self.name), self._explained():
            with commands.started(
                self._there, self._bus, argv, streams, env=env, workdir=workdir, user=user
            ) as command:
                yield command

    @contextmanager
    def terminal(self, user_terminal: int, screen: int = 1) -> Iterator[Streams]:
        """A terminal in the guest, tied to the user's, as the streams of a command."""
        yield Streams(terminal=commands.TERMINAL)

    def push(self, path: str, data: "bytes | IO[bytes]") -> None:
        """Write a file in the guest; see Machine."""
        with self._files_explained(f"{path} cannot be written"):
            files.push(self._there, path, BytesIO(data) if isinstance(data, bytes) else data)

    def give(self, directory: str, *, without: Collection[str] = ()) -> None:
        """Write what a directory of the host has over the guest's root, but for some paths. Raises HostError."""
        with self._files_explained("files cannot be written"):
            files.push_tree(self._there, directory, without=without)

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

    def reconnect(self) -> None:
        """Connect again: a signal has broken off what was asked. Raises HostError."""
        self._connect(Deadline(_ASK_SECONDS))

    def reboot(self, *, deadline: Deadline) -> None:
        """Have it reboot; see Machine."""
        deadline = deadline.sooner(_REBOOT_SECONDS)
        with about(self.name):
            before = self._boot_id()
            self._begin_reboot()
            with suppress(subprocess.TimeoutExpired):
                self._there.wait_end(deadline)
            self._hang_up()
            while not deadline.expired():
                with suppress(MachineLostError):
                    self._connect(deadline)
                    if self._boot_id() != before:
                        self._bring_files()
                        return
                    self._there.wait_end(deadline)
                time.sleep(_AGAIN_SECONDS)  # nothing tells when its sshd listens
        raise RebootError(f"the machine {self.name} did not boot again within {deadline.seconds:g} s")

    def _begin_reboot(self) -> None:
        self._bus.tell("StartUnit", "ss", "reboot.target", "replace-irreversibly")

    def snapshot(self, *, deadline: Deadline) -> int:
        """Keep it as it is; see Machine. It does not reboot for that: its memory is kept as well."""
        self._told(["sync"])
        self._hang_up()
        self._power.save(self._snapshots + 1)
        self._snapshots += 1
        self._connect(deadline)
        return self._snapshots

    def restore(self, snapshot: int | None = None, *, deadline: Deadline) -> None:
        """Have it as it was at a snapshot; see Machine."""
        number = self._snapshots if snapshot is None else snapshot
        if not 0 <= number <= self._snapshots:
            raise ValueError(f"there is no snapshot {number}")
        self._hang_up()
        self._power.restore(number)
        self._snapshots = number
        self._connect(deadline)
        self._bring_files()

    def _bring_files(self) -> None:
        for source, target in self._brought:
            with open(source, "rb") as file:
                self.push(target, file)

    def changes(self) -> Changes:
        """Return what differs from the VM as it was prepared; see Machine.

        Of files outside /etc that have kept their size, the time of the last write tells.
        """
        with self._explained():
            return listing.changes(listing.load(self._list), listing.parse(self._files_listed()))

    def _list_files(self) -> None:
        """Have a list of the files of the VM as it was prepared: made once, as each VM has a host key of its own."""
        with open(self._login.known_hosts, "rb") as file:
            key = hashlib.sha256(file.read()).hexdigest().encode()
        if not listing.is_of(self._list, key):
            listing.save(self._list, key, self._files_listed())
        self._has_list = True

    def _files_listed(self) -> bytes:
        return self._asked(["sh", "-c", listing.SCRIPT], seconds=_LIST_SECONDS)[: listing.MOST_BYTES]

    @contextmanager
    def watch_unit(self, name: str) -> "Iterator[UnitWatch]":
        """Follow a unit; see Machine."""
        with self._explained(), units.watch(self._bus, name) as followed:
            yield followed

    def failed_units(self) -> list[str]:
        """Return what has failed; see Machine."""
        with self._explained():
            return [unit for unit in units.failed(self._bus) if not unit.startswith("postroj-")]

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
        return int(words[-1]) if words and words[-1].isdecimal() else 0

    def out_of_memory(self) -> int:
        """How many processes fell to the out-of-memory killer; see Machine."""
        words = self._told(["grep", "^oom_kill ", "/proc/vmstat"]).split()
        return int(words[-1]) if words else 0

    def listening_sockets(self) -> list[str]:
        """What the guest listens on; see Machine."""
        return sorted({sockets.shown(one) for one in self.listeners() if one.protocol == "tcp"})

    def listeners(self) -> list[Listener]:
        """Return what can be sent to; see Machine."""
        found = []
        for protocol in sockets.STATES:
            for table in (protocol, f"{protocol}6"):
                found += sockets.listeners(protocol, self._told(["cat", f"/proc/net/{table}"]).splitlines())
        return found

    def processes(self) -> list[Running]:
        """Return all processes; see Machine."""
        return [_running(text) for text in self._told(["sh", "-c", _PROCESSES]).split("PID ")[1:]]

    @property
    def _there(self) -> Connection:
        if self._connection is None:
            raise MachineLostError(f"the machine {self.name} is not connected")
        return self._connection

    def _connect(self, deadline: Deadline) -> None:
        self._hang_up()
        limit = deadline.sooner(_CONNECT_SECONDS)
        while self._connection is None:
            try:
                self._connection = Connection(self._login, forward=self._forwarded, deadline=limit)
            except MachineLostError:
                if limit.expired():
                    raise
                time.sleep(_AGAIN_SECONDS)  # nothing tells when a VM that was restored answers
        self._attend()

    def _attend(self) -> None:
        """Do what each connection begins with."""
        self._set_clock()
        connected = socket.socket(socket.AF_UNIX)
        connected.settimeout(_ASK_SECONDS)
        connected.connect(self._there.path_of(_BUS))
        self._bus = Bus(connected, clock=self._clock)

    def _set_clock(self) -> None:
        """Set the guest's clock, which stood still while it was suspended; learn its uptime: proc_uptime(5).

        What is asked of its journal is by our clock, and servers refuse a guest that lives in the past.
        """
        asked = time.monotonic()
        words = self._told(["sh", "-c", _CLOCKS]).split()
        way = (time.monotonic() - asked) / 2
        if len(words) != 2:  # it is not a system that knows these
            self._ahead = 0.0
            return
        self._ahead = float(words[0]) - asked - way
        if abs(float(words[1]) - time.time() + way) > _MOST_BEHIND:
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
        return self._asked(words).decode(errors="replace")

    def _asked(self, words: Sequence[str], *, seconds: float = _ASK_SECONDS) -> bytes:
        asked = process.start(
            self._there.argv(words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            out, _ = asked.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise MachineLostError(f"the machine {self.name} did not answer within {seconds:g} s") from None
        finally:
            process.stop(asked)
        if self._there.is_lost(asked.returncode):
            raise self._lost(MachineLostError("", why=self._there.said()))
        return out

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except MachineLostError as error:
            raise self._lost(error) from error

    def _lost(self, error: MachineLostError) -> MachineLostError:
        return MachineLostError(f"the machine {self.name} is lost: it does not answer", why=error.why or error.what)


def _running(text: str) -> Running:
    """Return a process, from what the guest prints of it."""
    pid, *lines = text.splitlines()
    told = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    group = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "")
    inodes = [line[8:-1] for line in lines if line.startswith("socket:[")]
    return Running(
        int(pid),
        told.get("Name", "")[:15],
        int(told.get("Uid", "0\t0").split()[1]),
        next((part for part in group.split("/") if part.endswith(_UNITS)), ""),
        frozenset(int(inode) for inode in inodes if inode.isdecimal()),
    )
