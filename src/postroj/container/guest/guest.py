"""All that can be asked of a booted guest, from the host: nothing of how it was started, nor of its end."""

import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from postroj.deadline import NEVER, Deadline
from postroj.errors import DeadlineError, HostError, MachineLostError
from postroj.events import about

if TYPE_CHECKING:
    from postroj.contract import Command, Completed, Listener, Process, Running, UnitWatch, Watcher
    from postroj.streams import Streams
    from postroj.systemd.bus import Bus

_RESOLVE_SECONDS = 20.0
_CHUNK = 1 << 20
_MOST_FILES, _DEPTH = 200_000, 100
"""Of a directory that is read as an archive: see Machine.pull_tree."""


class Guest:
    """A guest that has booted; see Machine. A subclass says where it is, and what became of it if it is lost."""

    name: str
    _leader: int
    """Its PID 1, as the host counts."""
    _guest_root: int
    """A descriptor (O_PATH) of its root directory, as it sees it."""
    _guest_network: int
    """A descriptor of its network namespace."""
    _root_uid: int
    """What its root is outside."""
    _bus: "Bus"
    _proxies: dict[str, str]
    """Variables that name the host's proxies, as it can reach them."""

    @property
    def proxies(self) -> dict[str, str]:
        """Variables that name the host's proxies, as it can reach them; empty unless it was started with them."""
        return self._proxies

    @property
    def files(self) -> tuple[int, int]:
        """A descriptor of its root directory, and what its root is outside: see copying.Side."""
        return self._guest_root, self._root_uid

    def reconnect(self) -> None:
        """Connect to its bus again: a signal has broken off what was asked. Raises OSError, HostError."""
        self._bus = self._connect()

    def _connect(self) -> "Bus":
        """Return a connection to its bus, which is closed with the machine. Raises OSError, HostError."""
        raise NotImplementedError

    def as_on_host(self, text: str) -> str:
        """Return what was printed in it, with the host's proxies as they are called on the host."""
        return text

    def run(
        self,
        argv: Sequence[str],
        streams: "Streams",
        *,
        deadline: Deadline = NEVER,
        env: Mapping[str, str] | None = None,
        workdir: str = "/",
        user: str = "root",
    ) -> int:
        """Run a command with streams of the caller's and return its exit status; see `transient.run`."""
        from postroj.container.guest import transient

        streams.let_reopen()
        with about(self.name), self._explained():
            return transient.run(self._bus, argv, streams, deadline=deadline, env=env, workdir=workdir, user=user)

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
        from postroj.container.guest import transient
        from postroj.streams import Streams

        streams = Streams(stdin, stdout, stderr)
        streams.let_reopen()
        with about(self.name), self._explained():
            with transient.started(
                self._bus, argv, streams, deadline=deadline, env=env, workdir=workdir, user=user
            ) as command:
                yield command

    def command(
        self,
        argv: Sequence[str],
        *,
        deadline: Deadline,
        env: Mapping[str, str] | None = None,
        watcher: "Watcher | None" = None,
        stdin: int | None = None,
        workdir: str = "/",
        user: str = "root",
    ) -> "Completed":
        """Run a command and capture what it prints; see Machine. `stdin` is a descriptor of its standard input."""
        from postroj.capture import captured
        from postroj.streams import Streams

        variables = {**self._proxies, **(env or {})}

        def run(sink: int) -> int:
            streams = Streams(stdin, sink, sink)
            if watcher:
                return self._run_watched(argv, streams, watcher, deadline=deadline, env=variables)
            return self.run(argv, streams, deadline=deadline, env=variables, workdir=workdir, user=user)

        return captured(self.name, argv, run, shown=self.as_on_host)

    def _run_watched(
        self,
        argv: Sequence[str],
        streams: "Streams",
        watcher: "Watcher",
        *,
        deadline: Deadline,
        env: Mapping[str, str] | None,
    ) -> int:
        from postroj.container.guest import processes, transient
        from postroj.container.guest.guestnet import listening, socket_peers

        def look(unit: str, main: int) -> "list[Process]":
            peers, listen = socket_peers(self._guest_network), listening(self._guest_network)
            try:
                # If the guest is gone, its PID may be somebody else's, who has no such unit.
                path = f"{processes.parent_of(self._leader)}/system.slice/{unit}"
                return processes.of_unit(path, main, peers, listen)
            except OSError:
                return []

        with about(self.name), self._explained():
            return transient.run(
                self._bus, argv, streams, deadline=deadline, env=env, watch=transient.Watch(watcher, look)
            )

    @contextmanager
    def terminal(self, user_terminal: int, screen: int = 1) -> "Iterator[Streams]":
        """A terminal in the guest, tied to the user's, as the streams of a command; `screen` is written to."""
        from postroj.container.guest.terminal import attached
        from postroj.streams import Streams

        with attached(self._guest_root, self._root_uid, user_terminal, screen) as path:
            yield Streams(terminal=path)

    @contextmanager
    def watch_unit(self, name: str) -> "Iterator[UnitWatch]":
        """Follow a unit; see Machine."""
        from postroj.systemd.units import watch

        with self._explained(), watch(self._bus, name) as followed:
            yield followed

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what became of a guest that went away."""
        try:
            yield
        except MachineLostError as error:
            raise self._lost(error) from error

    def _lost(self, error: MachineLostError) -> MachineLostError:
        """Return the error that says what became of the guest."""
        return MachineLostError(f"the machine {self.name} is lost: it went away", why=error.why)

    def connect(self, host: str, port: int, timeout: float, *, udp: bool = False) -> int:
        """Connect from inside the guest's network; see Machine."""
        from postroj.container.guest.guestnet import connect

        return connect(self._guest_network, self._resolve(host), port, timeout, udp=udp)

    def connect_path(self, path: str, timeout: float) -> int:
        """Connect to a socket in the guest's file system; see Machine."""
        from postroj.container.guest.guestfs import connect_as, open_beneath

        plain = path.lstrip("/")
        if plain.startswith("var/run/"):  # a link to /run on each system: file-hierarchy(7)
            plain = plain.removeprefix("var/")
        with open_beneath(self._guest_root, plain) as fd:
            return connect_as(self._root_uid, f"/proc/self/fd/{fd}", timeout, capable=True).detach()

    def push(self, path: str, data: "bytes | IO[bytes]") -> None:
        """Write a file in the guest; see Machine."""
        from io import BytesIO

        from postroj.container.guest.guestfs import write_as

        source = BytesIO(data) if isinstance(data, bytes) else data
        try:
            write_as(self._root_uid, self._guest_root, path.lstrip("/"), source)
        except OSError as error:
            raise HostError(f"{path} cannot be written in the machine {self.name}: {error.strerror}") from error

    def pull(self, path: str, into: "IO[bytes]", *, most: int | None = None) -> bool:
        """Read a file of the guest; see Machine."""
        with self._opened(path, directory=False) as fd, open(fd, "rb", closefd=False) as file:
            left = most
            while left != 0:
                try:
                    chunk = file.read(_CHUNK if left is None else min(left, _CHUNK))
                except OSError as error:
                    raise self._unreadable(path, error) from error
                if not chunk:
                    return True
                into.write(chunk)
                left = None if left is None else left - len(chunk)
            return not file.read(1)

    def pull_tree(self, path: str, into: "IO[bytes]", *, most: int) -> bool:
        """Read a directory of the guest; see Machine."""
        from postroj.container.guest import tarstream
        from postroj.container.guest.entries import Bounds, walk

        cut: list[OSError] = []
        with self._opened(path, directory=True) as fd:
            bounds = Bounds(_MOST_FILES, _DEPTH, most)
            found = walk(fd, self._root_uid, lambda path, why: None, bounds=bounds, cut=cut.append)
            tarstream.write((entry for entry in found if entry.path), into, ())
        return not cut

    @contextmanager
    def _opened(self, path: str, *, directory: bool) -> Iterator[int]:
        from postroj.container.guest.guestfs import open_to_read

        try:
            fd = open_to_read(self._guest_root, path)
        except OSError as error:
            raise self._unreadable(path, error) from error
        try:
            if stat.S_ISDIR(os.fstat(fd).st_mode) != directory:
                code = errno.ENOTDIR if directory else errno.EISDIR
                raise self._unreadable(path, OSError(code, os.strerror(code)))
            yield fd
        finally:
            os.close(fd)

    def _unreadable(self, path: str, error: OSError) -> HostError:
        return HostError(f"{path} cannot be read in the machine {self.name}: {error.strerror}")

    def failed_units(self) -> list[str]:
        """Return what has failed; see Machine."""
        from postroj.container.guest.transient import is_own
        from postroj.systemd.units import failed

        with self._explained():
            return [unit for unit in failed(self._bus) if not is_own(unit)]

    def loaded_units(self) -> list[str]:
        """Return what is loaded; see Machine."""
        from postroj.container.guest.transient import is_own
        from postroj.systemd.units import loaded

        with self._explained():
            return [unit for unit in loaded(self._bus) if not is_own(unit)]

    def restarts(self) -> dict[str, int]:
        """Return which services were restarted; see Machine."""
        from postroj.systemd.units import restarts

        with self._explained():
            return restarts(self._bus)

    def listening_sockets(self) -> list[str]:
        """What the guest listens on; see Machine."""
        from postroj.container.guest.guestnet import listening_sockets

        return listening_sockets(self._guest_network)

    def listeners(self) -> "list[Listener]":
        """Return what can be sent to; see Machine."""
        from postroj.container.guest.guestnet import listeners

        return listeners(self._guest_network)

    def processes(self) -> "list[Running]":
        """Return all processes; see Machine."""
        from postroj.container.guest.processes import of_guest

        try:
            return of_guest(self._leader)
        except OSError:  # the guest is gone, as the next command will tell
            return []

    def free_bytes(self) -> int:
        """How much more the guest can write; see Machine."""
        status = os.statvfs(self._guest_root)
        return status.f_bavail * status.f_frsize

    def _resolve(self, host: str) -> list[str]:
        import ipaddress

        if host == "localhost":
            return ["127.0.0.1", "::1"]
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            pass
        try:
            found = self.command(["getent", "ahosts", "--", host], deadline=Deadline(_RESOLVE_SECONDS))
        except DeadlineError as error:
            raise OSError(f"the guest could not resolve '{host}' within {_RESOLVE_SECONDS:g} s") from error
        addresses = [line.split()[0] for line in found.output.splitlines() if "STREAM" in line]
        if found.status != 0 or not addresses:
            raise OSError(f"the guest cannot resolve '{host}'")
        return addresses
