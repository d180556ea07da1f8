"""A VM of FreeBSD or OpenBSD that has booted, as a machine: what differs from one with systemd.

It was never run on a BSD: see docs/vm.md.
"""

import errno
import os
import shlex
import socket
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from postroj import process
from postroj.capture import captured, watched
from postroj.contract import Capabilities, Changes, Completed, FileFacts, Listener, Running, UnitFacts, UnitState
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, GuestSetupError, HostError, MachineLostError
from postroj.events import about
from postroj.streams import Streams
from postroj.systemd.command import IN_DIRECTORY
from postroj.vm.bsd import asking
from postroj.vm.machine import VirtualMachine
from postroj.vm.ssh import Connection

if TYPE_CHECKING:
    from postroj.contract import UnitWatch, Watcher

_SCRIPT = f'{IN_DIRECTORY}exec "$@"\n'
_LOOK_SECONDS = 1.0


class BsdMachine(VirtualMachine):
    """A machine; see contract.Machine."""

    def _opened(self, deadline: Deadline) -> Connection:
        return Connection(self._login, deadline=deadline)

    def _attend(self) -> None:
        """Nothing: it has no bus."""
        self._since: dict[str, float] = {}
        self._tried: set[str] = set()

    def _list_files(self) -> None:
        """Do not: its find(1) is another one."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do; see Machine."""
        return Capabilities(reboot=True, snapshot=True, changes=False, own_kernel=True, linux=False, systemd=False)

    @property
    def system(self) -> "BsdSystem":
        """Its rc(8); see Machine."""
        return BsdSystem(self)

    def give(self, directory: str, *, without: Collection[str] = ()) -> None:
        """Take nothing: the package cache has nothing for it."""

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
            return self.run(argv, Streams(None, sink, sink), deadline=deadline, env=env)

        return captured(self.name, argv, watched(run, watcher))

    @contextmanager
    def _started(  # type: ignore[override]  # its commands are no units
        self,
        argv: Sequence[str],
        streams: Streams,
        *,
        env: Mapping[str, str] | None,
        workdir: str = "/",
        user: str = "root",
    ) -> "Iterator[_Command]":
        words = ["env", *(f"{name}={value}" for name, value in (env or {}).items())] if env else []
        words += ["sh", "-c", _SCRIPT, "sh", workdir, *argv]
        if user != "root":
            words = ["su", "-m", user, "-c", shlex.join(words)]
        with about(self.name), self._explained():
            command = _Command(self._there, words, streams)
            try:
                yield command
            finally:
                process.stop(command.process)

    def changes(self) -> Changes:
        """Return what differs from the image; see Machine."""
        raise HostError(f"the machine {self.name} does not tell what has changed on its disk")

    @contextmanager
    def watch_unit(self, name: str) -> "Iterator[UnitWatch]":
        """Follow a service; see Machine."""
        yield _Watch(self, name)

    def service(self, name: str) -> asking.Service | None:
        """Return a service by the name of its unit; None if there is none."""
        return asking.read_service(self.ask(asking.SERVICE, plain(name)))

    def state(self, name: str) -> UnitState:
        """Return a service as a unit; how long it runs is counted from the first look that has seen it."""
        found = self.service(name)
        if found and found.is_running:
            since = self._since.setdefault(name, time.monotonic())
        else:
            self._since.pop(name, None)
            since = time.monotonic()
        return asking.state(found, seconds=time.monotonic() - since, was_tried=name in self._tried)

    def note_tried(self, names: Sequence[str]) -> None:
        """Note that services were started: rc(8) does not tell whether one has failed or was never started."""
        self._tried |= set(names)

    def failed_units(self) -> list[str]:
        """Return nothing: rc(8) does not tell; see Machine."""
        return []

    def loaded_units(self) -> list[str]:
        """Return nothing: rc(8) loads no units; see Machine."""
        return []

    def restarts(self) -> dict[str, int]:
        """Return nothing: rc(8) restarts nothing; see Machine."""
        return {}

    def connect(self, host: str, port: int, timeout: float, *, udp: bool = False) -> int:
        """Connect from inside the guest, by TCP; see Machine."""
        if udp:
            raise HostError(f"the machine {self.name} cannot send to an address of UDP: guests of BSD have TCP only")
        done = self.command(
            ["sh", "-c", asking.REACHES, "sh", host, str(port), str(max(1, int(timeout)))],
            deadline=Deadline(timeout + 60),
        )
        if done.status:
            code = errno.ETIMEDOUT if "timed out" in done.output else errno.ECONNREFUSED
            raise OSError(code, os.strerror(code))
        own, theirs = socket.socketpair()
        with theirs:
            words = self._there.argv_of_relay(host, port)
            asked = process.start(words, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.DEVNULL)
        self._dialled.append(asked)
        return own.detach()

    def free_bytes(self) -> int:
        """How much more the guest can write; see Machine."""
        return asking.read_free(self.ask(asking.FREE))

    def _killed(self) -> int:
        """Return 0: nobody counts."""
        return 0

    def listeners(self) -> list[Listener]:
        """Return what can be sent to; see Machine."""
        return asking.read_listeners(self.ask(asking.LISTENERS))

    def processes(self) -> list[Running]:
        """Return all processes; see Machine."""
        return asking.read_processes(self.ask(asking.PROCESSES))

    def ask(self, script: str, *words: str) -> str:
        """Return what a script prints that only looks."""
        return self._told(["sh", "-c", script, "sh", *words])

    def _boot_id(self) -> str:
        return self.ask(asking.BOOTED).strip()

    def _begin_reboot(self) -> None:
        with suppress(MachineLostError):
            self._told(["shutdown", "-r", "now"])


class BsdSystem:
    """rc(8) of a machine; see contract.System."""

    name = "a BSD"
    family = ""

    def __init__(self, machine: BsdMachine) -> None:
        self._machine = machine

    def read_again(self, *, deadline: Deadline) -> None:
        """Do nothing: rc(8) reads its scripts as they are; see System."""

    def enable(self, names: Sequence[str], *, deadline: Deadline) -> Completed:
        """Enable them; see System."""
        return self._change("enable", names, deadline)

    def start(self, names: Sequence[str], *, wait: bool, deadline: Deadline) -> Completed:
        """Start them; see System."""
        self._machine.note_tried(names)
        return self._change("start", names, deadline)

    def restart(self, names: Sequence[str], *, deadline: Deadline) -> Completed:
        """Restart them; see System."""
        return self._change("restart", names, deadline)

    def reload(self, name: str, *, deadline: Deadline) -> Completed:
        """Reload one; see System."""
        return self._change("reload", [name], deadline)

    def bar(self, names: Sequence[str], *, masked: bool, deadline: Deadline) -> Completed:
        """Stop and disable them; nothing can be masked; see System."""
        return self._change("disable", names, deadline)

    def unbar(self, names: Sequence[str], *, deadline: Deadline) -> Completed:
        """Do nothing: nothing was masked; see System."""
        return Completed(0, "")

    def why(self, name: str) -> str:
        """Return the last line of the system's log that names it; see System."""
        return self.shown(name).rpartition("\n\n")[2].rpartition("\n")[2].strip()[:300]

    def shown(self, name: str) -> str:
        """Return its status, and what the system's log has of it; see System."""
        return self._machine.ask(asking.SHOWN, plain(name)).rstrip("\n")

    def file(self, path: str, *, deadline: Deadline) -> FileFacts | None:
        """Return what has a path; see System."""
        return asking.read_file(self._machine.ask(asking.FILE, path))

    def _change(self, verb: str, names: Sequence[str], deadline: Deadline) -> Completed:
        words = ["sh", "-c", asking.CHANGE, "sh", verb, *map(plain, names)]
        return self._machine.command(words, deadline=deadline)


class _Command:
    """A command by ssh alone; see contract.Command. What it leaves running in the guest goes on."""

    def __init__(self, connection: Connection, words: Sequence[str], streams: Streams) -> None:
        self._connection = connection
        self._words = words
        terminal = bool(streams.terminal)
        fds = (0, 1, 2) if terminal else (streams.stdin, streams.stdout, streams.stderr)
        stdin, stdout, stderr = (subprocess.DEVNULL if fd is None else fd for fd in fds)
        argv = connection.argv(words, terminal=terminal)
        self.process = process.start(argv, stdin=stdin, stdout=stdout, stderr=stderr)

    def wait(self, deadline: Deadline) -> int:
        """Return its exit status; see Command."""
        try:
            status = self.process.wait(deadline.remaining())
        except subprocess.TimeoutExpired:
            raise DeadlineError(
                f"the command did not end within {deadline.seconds:g} s", hint="see --timeout"
            ) from None
        if self._connection.is_lost(status):
            raise MachineLostError("the connection to the VM has ended", why=self._connection.said())
        if status < 0:
            raise GuestSetupError(f"ssh was killed by signal {-status}")
        return status

    def send_signal(self, signum: int) -> None:
        """End it, whatever the signal; see Command."""
        process.stop(self.process)


class _Watch:
    """Follows a service: nothing tells of its changes, so it is asked for."""

    def __init__(self, machine: BsdMachine, name: str) -> None:
        self._machine = machine
        self.name = name

    def state(self) -> UnitState:
        """What it is now; see UnitWatch."""
        return self._machine.state(self.name)

    def facts(self) -> UnitFacts:
        """Return how it is set up; see UnitWatch."""
        return asking.facts(self._machine.service(self.name))

    def wait(self, seconds: float) -> None:
        """Return after a second at most; see UnitWatch."""
        time.sleep(max(0.0, min(seconds, _LOOK_SECONDS)))


def plain(unit: str) -> str:
    """Return the name of the service that is meant by a unit's name."""
    return unit.removesuffix(".service")
