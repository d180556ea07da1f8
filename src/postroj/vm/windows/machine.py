"""A Windows VM that has booted, as a machine: what is asked of it are command lines and scripts of PowerShell.

It was never run on Windows: see docs/windows.md.
"""

import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import IO, TYPE_CHECKING

from postroj import process, sockets
from postroj.capture import captured, sink_into, watched
from postroj.contract import Capabilities, Changes, Completed, Listener, Running, UnitFacts, UnitState
from postroj.deadline import NEVER, Deadline
from postroj.errors import HostError, MachineLostError, UsageError
from postroj.events import about
from postroj.family.windows import quoting
from postroj.streams import Streams
from postroj.vm.machine import Power, not_rebooted
from postroj.vm.windows import asking, services
from postroj.vm.windows.shell import Shell, SshShell
from postroj.vm.windows.system import WindowsSystem

if TYPE_CHECKING:
    from postroj.contract import Command, UnitWatch, Watcher

_ASK_SECONDS = 120.0
_COPY_SECONDS = 3600.0
_REBOOT_SECONDS = 1800.0
_AGAIN_SECONDS = 1.0
_LOOK_SECONDS = 1.0
_REQUEST_SECONDS = 0.5
_TERMINAL = "ssh"
_ROOT = ("", "root")


class WindowsMachine:
    """A machine; see contract.Machine. A context manager: inside the block it can be asked."""

    def __init__(
        self,
        name: str,
        connect: "Callable[[Deadline], Shell]",
        power: Power,
        *,
        brought: Sequence[tuple[str, str]] = (),
        deadline: Deadline = NEVER,
    ) -> None:
        """`connect` opens a shell in it; `brought` are files of the host, each with its path in the guest."""
        self.name = name
        self.deadline = deadline
        self._open = connect
        self._power = power
        self._brought = brought
        self._snapshots = 0
        self._shell: Shell | None = None
        self._dialled: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "WindowsMachine":
        self._connect(self.deadline)
        self._bring_files()
        return self

    def __exit__(self, *exc: object) -> None:
        self._hang_up()

    def as_on_host(self, text: str) -> str:
        """Return what was printed in it."""
        return text

    def give(self, root: str, *, without: Sequence[str] = ()) -> None:
        """Take nothing: the package cache has nothing for it."""

    @property
    def system(self) -> WindowsSystem:
        """Its Service Control Manager; see Machine."""
        return WindowsSystem(self)

    @property
    def capabilities(self) -> Capabilities:
        """What it can do; see Machine."""
        return Capabilities(reboot=True, snapshot=True, changes=False, own_kernel=True, linux=False, systemd=False)

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
        """Run a command with streams of the caller's and return its exit status: its lowest 8 bits, and never 0 for
        another one.
        """
        shell = self._there
        if user not in _ROOT:
            raise UsageError(f"the commands of {self.name} are run by the user that logs in: --user cannot change it")
        if streams.terminal and not shell.has_terminal:
            raise HostError(f"{self.name} is spoken to by WinRM, which has no terminals", hint="install OpenSSH in it")
        with about(self.name):
            return _status(shell.run(_line(argv, env, workdir), streams, deadline=deadline))

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
        """Do not: see Machine."""
        raise HostError(f"a command of {self.name} is waited for: Windows guests have no other ones")
        yield

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

        done = captured(self.name, argv, watched(run, watcher))
        return done._replace(output=done.output.replace("\r\n", "\n"))

    @contextmanager
    def terminal(self, user_terminal: int, screen: int = 1) -> Iterator[Streams]:
        """A terminal in the guest, tied to the user's, as the streams of a command."""
        yield Streams(terminal=_TERMINAL)

    def push(self, path: str, data: "bytes | IO[bytes]") -> None:
        """Write a file in the guest; see Machine. All may read what its directory lets them."""
        source = BytesIO(data) if isinstance(data, bytes) else data
        line = quoting.encoded(asking.write(path))
        self._ask(line, f"{path} cannot be written", lines=asking.lines_of(source), seconds=_COPY_SECONDS)

    def pull(self, path: str, into: "IO[bytes]", *, most: int | None = None) -> bool:
        """Read a file of the guest; see Machine."""
        limit = asking.MOST_OF_A_FILE if most is None else most
        written, left = 0, bytearray()

        def consume(data: bytes) -> None:
            nonlocal written
            left.extend(data)
            *lines, rest = bytes(left).split(b"\n")
            left[:] = rest
            for line in lines:
                piece = asking.bytes_of(line)[: limit - written]
                into.write(piece)
                written += len(piece)

        script = asking.read(path, limit + 1)
        self._run_script(script, consume, f"{path} cannot be read", _COPY_SECONDS)
        facts = self.system.file(path, deadline=NEVER)
        return facts is None or facts.size <= limit

    def pull_tree(self, path: str, into: "IO[bytes]", *, most: int) -> bool:
        """Do not: see Machine."""
        raise HostError(f"directories of {self.name} are not copied: Windows guests have files only")

    def reconnect(self) -> None:
        """Connect again: a signal has broken off what was asked. Raises HostError."""
        self._connect(Deadline(_ASK_SECONDS))

    def reboot(self, *, deadline: Deadline) -> None:
        """Have it reboot; see Machine."""
        deadline = deadline.sooner(_REBOOT_SECONDS)
        before = self.told(asking.HEAD + asking.BOOTED)
        with suppress(MachineLostError):
            self.command(["shutdown.exe", "/r", "/t", "0", "/f"], deadline=Deadline(_ASK_SECONDS))
        while not deadline.expired():
            with suppress(HostError):
                self._connect(Deadline(_ASK_SECONDS))
                if self.told(asking.HEAD + asking.BOOTED) != before:
                    self._bring_files()
                    return
            time.sleep(_AGAIN_SECONDS)  # nothing tells when it has booted
        raise not_rebooted(self.name, self.deadline, _REBOOT_SECONDS)

    def snapshot(self, *, deadline: Deadline) -> int:
        """Keep it as it is; see Machine. It does not reboot for that: its memory is kept as well."""
        self._hang_up()
        self._power.save(self._snapshots + 1, deadline=deadline)
        self._snapshots += 1
        self._connect(deadline)
        return self._snapshots

    def restore(self, snapshot: int | None = None, *, deadline: Deadline) -> None:
        """Have it as it was at a snapshot; see Machine."""
        number = self._snapshots if snapshot is None else snapshot
        if not 0 <= number <= self._snapshots:
            raise ValueError(f"there is no snapshot {number}")
        self._hang_up()
        self._power.restore(number, deadline=deadline)
        self._snapshots = number
        self._connect(deadline)
        self._bring_files()

    def changes(self) -> Changes:
        """Return what differs from the image; see Machine."""
        raise HostError(f"the machine {self.name} does not tell what has changed on its disk")

    @contextmanager
    def watch_unit(self, name: str) -> "Iterator[UnitWatch]":
        """Follow a service; see Machine."""
        yield _Watch(self, name)

    def service(self, name: str) -> services.Service | None:
        """Return a service by the name of its unit; None if there is none."""
        found = services.read(self.told(services.script(name)))
        return found[0] if found else None

    def failed_units(self) -> list[str]:
        """Return the services that have stopped with an exit code that says so; see Machine."""
        return [f"{one.name}.service" for one in services.read(self.told(services.script())) if one.has_failed]

    def loaded_units(self) -> list[str]:
        """Return nothing: Windows loads no units; see Machine."""
        return []

    def restarts(self) -> dict[str, int]:
        """Return nothing: Windows counts none; see Machine."""
        return {}

    def connect(self, host: str, port: int, timeout: float, *, udp: bool = False) -> int:
        """Connect from inside the guest; see Machine. By WinRM a connection is one request and its answer."""
        if udp:
            raise HostError(f"the machine {self.name} cannot send to an address of UDP: Windows guests have TCP only")
        shell = self._there
        done = self.command(quoting.powershell(asking.connect(host, port, timeout)), deadline=Deadline(timeout + 60))
        if done.status:
            raise asking.error_of(done.output)
        if isinstance(shell, SshShell):
            fd, asked = shell.relay(host, port)
            self._dialled.append(asked)
            return fd
        own, theirs = socket.socketpair()
        threading.Thread(target=self._exchange, args=(theirs, host, port, timeout), daemon=True).start()
        return own.detach()

    def _exchange(self, theirs: socket.socket, host: str, port: int, timeout: float) -> None:
        """Take a request from a socket, and give it the answer of an address."""
        request = b""
        with theirs, suppress(OSError, HostError):
            while select.select([theirs], [], [], _REQUEST_SECONDS if request else timeout)[0]:
                if not (chunk := theirs.recv(asking.PIECE)):
                    break
                request += chunk
            if request:
                script = asking.exchange(host, port, timeout)
                line = asking.lines_of(BytesIO(request[: asking.PIECE]))
                answer = self._ask(quoting.encoded(script), "no answer", lines=line, seconds=timeout + _ASK_SECONDS)
                for one in answer.split(b"\n"):
                    theirs.sendall(asking.bytes_of(one))

    def connect_path(self, path: str, timeout: float) -> int:
        """Do not: see Machine."""
        raise HostError(f"the machine {self.name} has no Unix sockets")

    def free_bytes(self) -> int:
        """How much more the guest can write; see Machine."""
        said = self.told(asking.HEAD + asking.FREE).strip()
        return int(said) if said.isascii() and said.isdecimal() else 0

    def out_of_memory(self) -> int:
        """Return 0: Windows kills nothing for want of memory; see Machine."""
        return 0

    def listening_sockets(self) -> list[str]:
        """What the guest listens on; see Machine."""
        return sorted({sockets.shown(one) for one in self.listeners() if one.protocol == "tcp"})

    def listeners(self) -> list[Listener]:
        """Return what can be sent to; see Machine."""
        return asking.read_listeners(self.told(asking.listeners()))

    def processes(self) -> list[Running]:
        """Return all processes; see Machine."""
        return asking.read_processes(self.told(asking.processes()))

    def told(self, script: str) -> str:
        """Return what a script prints that only looks. Raises GuestSetupError if it fails."""
        return self._ask(quoting.encoded(script), "what was asked cannot be told").decode(errors="replace")

    def _run_script(self, script: str, consume: Callable[[bytes], None], what: str, seconds: float) -> None:
        errors = bytearray()
        with sink_into(consume) as out, sink_into(lambda data: errors.extend(data[:4000])) as err:
            line = quoting.encoded(script)
            status = self._there.run(line, Streams(None, out, err), deadline=Deadline(seconds))
        if status:
            raise HostError(f"{what} in the machine {self.name}: {_reason(errors)}")

    def _ask(
        self, line: str, what: str, *, lines: Iterator[bytes] | tuple[()] = (), seconds: float = _ASK_SECONDS
    ) -> bytes:
        out, errors = bytearray(), bytearray()
        with sink_into(out.extend) as sink, sink_into(lambda data: errors.extend(data[:4000])) as err:
            status = self._there.run(line, Streams(None, sink, err), deadline=Deadline(seconds), source=lines)
        if status:
            raise HostError(f"{what} in the machine {self.name}: {_reason(errors)}")
        return bytes(out)

    def _bring_files(self) -> None:
        for source, target in self._brought:
            with open(source, "rb") as file:
                self.push(target, file)

    @property
    def _there(self) -> Shell:
        if self._shell is None:
            raise MachineLostError(f"the machine {self.name} is not connected")
        return self._shell

    def _connect(self, deadline: Deadline) -> None:
        self._hang_up()
        limit = deadline.sooner(_REBOOT_SECONDS)
        while self._shell is None:
            try:
                self._shell = self._open(limit)
            except MachineLostError:
                if limit.expired():
                    raise
                time.sleep(_AGAIN_SECONDS)  # nothing tells when a VM that was restored answers

    def _hang_up(self) -> None:
        for one in self._dialled:
            process.stop(one)
        self._dialled = []
        if self._shell:
            self._shell.close()
            self._shell = None


class _Watch:
    """Follows a service: nothing tells of its changes, so it is asked for."""

    def __init__(self, machine: WindowsMachine, name: str) -> None:
        self._machine = machine
        self.name = name

    def state(self) -> UnitState:
        """What it is now; see UnitWatch."""
        return services.state(self._machine.service(self.name))

    def facts(self) -> UnitFacts:
        """Return how it is set up; see UnitWatch."""
        service = self._machine.service(self.name)
        return services.facts(service) if service else UnitFacts()

    def wait(self, seconds: float) -> None:
        """Return after a second at most; see UnitWatch."""
        time.sleep(max(0.0, min(seconds, _LOOK_SECONDS)))


def _line(argv: Sequence[str], env: Mapping[str, str] | None, workdir: str) -> str:
    """Return the command line of a command; with variables or a directory it is PowerShell that sets these."""
    if not env and workdir in ("", "/"):
        return quoting.for_cmd(argv)
    lines = [
        f"[Environment]::SetEnvironmentVariable({quoting.literal(n)}, {quoting.literal(v)})"
        for n, v in (env or {}).items()
    ]
    if workdir not in ("", "/"):
        lines += [
            f"Set-Location -LiteralPath {quoting.literal(workdir)}",
            "[Environment]::CurrentDirectory = $PWD.Path",
        ]
    return quoting.encoded("\n".join([*lines, quoting.for_powershell(argv)]))


def _status(status: int) -> int:
    """Return an exit status of 32 bits as one of 8: one that is not 0 stays so."""
    return status if status < 256 else status & 255 or 255


def _reason(said: bytearray) -> str:
    """Return why a script has failed: PowerShell says it in its first line."""
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[0].strip()[:300] if lines else "PowerShell does not say why"
