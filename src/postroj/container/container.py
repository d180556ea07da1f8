"""A container: an image, booted by systemd-nspawn, as a machine."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from postroj.container.launch.nspawn import KILLED
from postroj.container.lifecycle import Lifecycle, sweep
from postroj.deadline import NEVER, Deadline
from postroj.errors import DeadlineError, HostError, InstallError, MachineLostError
from postroj.events import Debug, Output, about, emit
from postroj.interrupts import uninterrupted

if TYPE_CHECKING:
    from postroj.container.guest.bus import Bus
    from postroj.container.streams import Streams
    from postroj.contract import Completed, Listener, Process, Running, UnitWatch, Watcher


_RESOLVE_SECONDS = 20.0
_END_SECONDS = 5.0
_REBOOT = 133
"""The exit status of nspawn by which it asks to be started again: systemd-nspawn(1)."""


class Container(Lifecycle):
    """A machine made from a root directory, which stays as it is. Inside the block it has booted; see Lifecycle."""

    _BEGUN = "booted"
    _BOOTS = True

    def _begin(self, deadline: Deadline) -> None:
        with uninterrupted():
            self._claim_all()
            emit(Debug(f"{self.name} boots from {self._root}"))
            self._start(["--boot", "--notify-ready=yes", "--console=pipe"])
        self._go(deadline)
        # nspawn needs a while before the guest boots, on one core: what is imported and done now costs nothing.
        from postroj.container.guest.bus import Bus

        sweep()
        self._meet(deadline)
        self._nspawn.wait_ready(deadline)
        self._bus = self._connect(Bus)

    def _connect(self, bus: "type[Bus]") -> "Bus":
        try:
            connected = bus(self._guest_root, self._nspawn.root_uid)
        except (MachineLostError, OSError) as error:
            self._nspawn.check_alive(error)
            raise HostError(
                f"the machine {self.name} has booted, but its D-Bus cannot be reached",
                why=str(getattr(error, "why", "") or error),
                hint="the image needs dbus: pull it again with `postroj pull`",
            ) from error
        self._stack.callback(connected.close)
        return connected

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
        from postroj.container.guest.capture import Tail, sink_into
        from postroj.container.streams import Streams
        from postroj.contract import Completed

        emit(Debug(f"{self.name}$ {shlex.join(argv)}"), machine=self.name)
        output = Tail(lambda line: emit(Output(self.name, self.as_on_host(line)), machine=self.name))
        env = {**self._proxies, **(env or {})}
        try:
            with sink_into(output.add) as sink:
                streams = Streams(stdin, sink, sink)
                if watcher:
                    status = self._run_watched(argv, streams, watcher, deadline=deadline, env=env)
                else:
                    status = self.run(argv, streams, deadline=deadline, env=env, workdir=workdir, user=user)
        except (DeadlineError, InstallError) as error:
            error.why = error.why or self.as_on_host(output.text())
            raise
        return Completed(status, output.text(), output.is_cut)

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
        from postroj.container.network.guestnet import listening, socket_peers

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
    def terminal(self, user_terminal: int) -> "Iterator[Streams]":
        """A terminal in the guest, tied to the user's, as the streams of a command."""
        from postroj.container.guest.terminal import attached
        from postroj.container.streams import Streams

        with attached(self._guest_root, self._nspawn.root_uid, user_terminal) as path:
            yield Streams(terminal=path)

    @contextmanager
    def watch_unit(self, name: str) -> "Iterator[UnitWatch]":
        """Follow a unit; see Machine."""
        from postroj.container.guest.units import watch

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
        ended = self._nspawn.wait_exit(Deadline(_END_SECONDS))
        by_guest = False
        if fate := self._fate():
            what = fate
        elif ended is None:
            what, by_guest = "its D-Bus went away: stopped or removed from inside", True
        elif ended[0] in (0, _REBOOT):
            what, by_guest = "it was shut down or rebooted from inside", True
        elif self._nspawn.was_killed():
            what = KILLED
        else:
            what = f"its systemd was killed, or crashed (systemd-nspawn ended with status {ended[0]})"
        lost = MachineLostError(f"the machine {self.name} is lost: {what}", why=error.why)
        lost.by_guest = by_guest
        return lost

    def connect(self, host: str, port: int, timeout: float, *, udp: bool = False) -> int:
        """Connect from inside the guest's network; see Machine."""
        from postroj.container.network.guestnet import connect

        return connect(self._guest_network, self._resolve(host), port, timeout, udp=udp)

    def connect_path(self, path: str, timeout: float) -> int:
        """Connect to a socket in the guest's file system; see Machine."""
        from postroj.container.guest.guestfs import connect_as, open_beneath

        plain = path.lstrip("/")
        if plain.startswith("var/run/"):  # a link to /run on each system: file-hierarchy(7)
            plain = plain.removeprefix("var/")
        with open_beneath(self._guest_root, plain) as fd:
            return connect_as(self._nspawn.root_uid, f"/proc/self/fd/{fd}", timeout, capable=True).detach()

    def push(self, path: str, data: bytes) -> None:
        """Write a file in the guest; see Machine."""
        from postroj.container.guest.guestfs import write_as

        try:
            write_as(self._nspawn.root_uid, self._guest_root, path.lstrip("/"), data)
        except OSError as error:
            raise HostError(f"{path} cannot be written in the machine {self.name}: {error.strerror}") from error

    def failed_units(self) -> list[str]:
        """Return what has failed; see Machine."""
        from postroj.container.guest.transient import is_own
        from postroj.container.guest.units import failed

        with self._explained():
            return [unit for unit in failed(self._bus) if not is_own(unit)]

    def restarts(self) -> dict[str, int]:
        """Return which services were restarted; see Machine."""
        from postroj.container.guest.units import restarts

        with self._explained():
            return restarts(self._bus)

    def listening_sockets(self) -> list[str]:
        """What the guest listens on; see Machine."""
        from postroj.container.network.guestnet import listening_sockets

        return listening_sockets(self._guest_network)

    def listeners(self) -> "list[Listener]":
        """Return what can be sent to; see Machine."""
        from postroj.container.network.guestnet import listeners

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
