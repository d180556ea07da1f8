"""A machine that plays what it is told to: for what the harness decides, never for how a guest behaves."""

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import IO

from postroj.contract import (
    Capabilities,
    Changes,
    Command,
    Completed,
    Listener,
    Process,
    Running,
    UnitFacts,
    UnitState,
    Watcher,
)
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, HostError
from postroj.systemd.system import Systemd

Answer = Completed | Exception


def state(active: str, sub: str, seconds: float = 0.0, **more: object) -> UnitState:
    """A unit's state, of a service that is loaded and was never restarted unless told otherwise."""
    usual = UnitState("loaded", active, sub, seconds, 0, "success", False)
    return usual._replace(**more)  # type: ignore[arg-type]


class FakeWatch:
    """Plays states, one after each wait; waiting longer than it has states is a failure."""

    def __init__(self, states: Sequence[UnitState]) -> None:
        self._states = list(states)
        self.waits: list[float] = []
        self.name = "webfs.service"

    def state(self) -> UnitState:
        return self._states[0]

    def facts(self) -> UnitFacts:
        return UnitFacts()

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self._states.pop(0)
        if not self._states:
            raise AssertionError(f"it waits on, {seconds:g} s, where it should have come to an end")


class FakeMachine:
    """A Machine (see postroj.contract) whose commands are answered by a function and whose network is this host's."""

    name = "fake"
    deadline = Deadline(1000)

    def __init__(
        self,
        answer: Callable[[Sequence[str]], Answer] = lambda argv: Completed(0, ""),
        states: Sequence[UnitState] = (),
        listens: Sequence[str] | Exception = (),
        free: int = 10**10,
    ) -> None:
        self._answer = answer
        self._listens = listens
        self._free = free
        self.fake_watch = FakeWatch(states)
        self.commands: list[list[str]] = []
        self.seconds: list[float | None] = []
        """How long each command may take."""
        self.watched: list[str] = []
        self.connections = 0
        self.looks: list[list[Process]] = []
        self.left: list[Process] = []
        self.sockets: list[Listener] = []
        self.running: list[Running] = []
        self.pushed: dict[str, bytes] = {}
        self.rebooted: list[str] = []
        """What it was booted again for."""
        self.changed = Changes({})

    def command(
        self,
        argv: Sequence[str],
        *,
        deadline: Deadline,
        env: Mapping[str, str] | None = None,
        watcher: Watcher | None = None,
    ) -> Completed:
        self.commands.append(list(argv))
        self.seconds.append(deadline.remaining())
        if watcher:
            for look in self.looks:
                watcher.running(look)
        answer = self._answer(argv)
        if watcher and isinstance(answer, DeadlineError):
            watcher.expired(self.looks[-1] if self.looks else [])
        elif watcher:
            watcher.ended(self.left)
        if isinstance(answer, Exception):
            raise answer
        return answer

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
        raise HostError("it has no processes")

    def push(self, path: str, data: bytes | IO[bytes]) -> None:
        self.pushed[path] = data if isinstance(data, bytes) else data.read()

    def pull(self, path: str, into: IO[bytes], *, most: int | None = None) -> bool:
        into.write(self.pushed[path][:most])
        return most is None or len(self.pushed[path]) <= most

    def pull_tree(self, path: str, into: IO[bytes], *, most: int) -> bool:
        raise HostError("it has no directories")

    capabilities = Capabilities(reboot=True, snapshot=True, changes=True)

    @property
    def system(self) -> Systemd:
        return Systemd(self)

    def reboot(self, *, deadline: Deadline) -> None:
        self.rebooted.append("reboot")

    def snapshot(self, *, deadline: Deadline) -> int:
        self.rebooted.append("snapshot")
        return self.rebooted.count("snapshot")

    def restore(self, snapshot: int | None = None, *, deadline: Deadline) -> None:
        self.rebooted.append("restore")

    def changes(self) -> Changes:
        return self.changed

    @contextmanager
    def watch_unit(self, name: str) -> Iterator[FakeWatch]:
        self.watched.append(name)
        yield self.fake_watch

    def connect(self, host: str, port: int, timeout: float, *, udp: bool = False) -> int:
        self.connections += 1
        if udp:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unconnected:
                unconnected.connect((host, port))
                return unconnected.detach()
        return socket.create_connection((host, port), timeout).detach()

    def connect_path(self, path: str, timeout: float) -> int:
        raise FileNotFoundError(path)

    def failed_units(self) -> list[str]:
        return []

    def loaded_units(self) -> list[str]:
        return []

    def restarts(self) -> dict[str, int]:
        return {}

    def free_bytes(self) -> int:
        return self._free

    def listening_sockets(self) -> list[str]:
        if isinstance(self._listens, Exception):
            raise self._listens
        return list(self._listens)

    def listeners(self) -> list[Listener]:
        return self.sockets

    def processes(self) -> list[Running]:
        return self.running

    def out_of_memory(self) -> int:
        return 0
