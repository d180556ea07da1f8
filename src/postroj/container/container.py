"""A container: an image, booted by systemd-nspawn, as a machine."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from postroj.container import claim, limits, machined, slot
from postroj.container.binds import Bind
from postroj.container.nspawn import BOOT_SECONDS, KILLED, Nspawn, resolv_conf_mode
from postroj.container.options import HOST, NONE, Options
from postroj.container.sysctl import INOTIFY
from postroj.deadline import NEVER, Deadline
from postroj.errors import BootError, DeadlineError, HostError, MachineLostError
from postroj.events import Debug, Output, Warn, emit
from postroj.interrupts import uninterrupted
from postroj.settings import RUNTIME_DIR

if TYPE_CHECKING:
    from postroj.container.bus import Bus
    from postroj.container.transient import Streams
    from postroj.machine import Completed, UnitWatch


_DEFAULT = Options()
_RESOLVE_SECONDS = 20.0
_END_SECONDS = 5.0
_SIGNAL_SECONDS = 2.0
_REBOOT = 133
"""The exit status of nspawn by which it asks to be started again: systemd-nspawn(1)."""


class Container:
    """A machine made from a root directory, which stays as it is: the guest writes to an overlay in memory.

    A context manager: inside the block the guest has booted, after it nothing of it is left. `name` gets a suffix
    where it is taken, unless `exact_name`. Raises BootError, HostError, and UsageError for a name that is taken.
    """

    def __init__(
        self,
        root: str,
        name: str,
        *,
        exact_name: bool = False,
        binds: Sequence[Bind] = (),
        options: Options = _DEFAULT,
        deadline: Deadline = NEVER,
    ) -> None:
        options.check()
        self._options = options
        self._root = root
        self._wanted_name = name
        self._exact_name = exact_name
        self._binds = binds
        self._deadline = deadline
        self._stack = ExitStack()
        self._registration: machined.Registration | None = None
        self._out_of_memory: limits.OutOfMemory | None = None

    def __enter__(self) -> Self:
        try:
            self._boot(self._deadline.sooner(BOOT_SECONDS))
        except BootError as error:
            fate = self._fate()
            self._stop()
            if fate:
                raise BootError(f"the machine {self._wanted_name} did not come up: {fate}", why=error.why) from error
            if self._deadline.passed():
                what = f"the machine {self._wanted_name} had not booted within {self._deadline.seconds:g} s"
                raise DeadlineError(what, why=error.why, hint="see --timeout") from error
            raise
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _boot(self, deadline: Deadline) -> None:
        arguments = [
            "--boot",
            "--notify-ready=yes",
            "--console=pipe",
            f"--resolv-conf={resolv_conf_mode() if self._options.network != NONE else 'off'}",
        ]
        registered = machined.is_there()
        with uninterrupted():
            self._claim = claim.claim(self._wanted_name, exact=self._exact_name, with_cgroup=not registered)
            self._stack.callback(self._claim.release)
            self._slot = slot.take()
            self._stack.callback(self._slot.release)
            self._stack.callback(_set_back, self._slot.number)
            _prepare_kernel()
            self.name = self._claim.name
            self._join()
            self._warn()
            emit(Debug(f"{self.name} boots from {self._root}"))
            scope = machined.scope_name(self.name) if registered else ""
            self._nspawn = Nspawn(
                self._claim, self._slot, self._root, arguments, options=self._options, binds=self._binds, scope=scope
            )
            self._stack.callback(self._nspawn.kill)
        self._nspawn.go(deadline)
        self._out_of_memory = limits.OutOfMemory(self.name, self._nspawn.pid)
        # nspawn needs a while before the guest boots, on one core: what is imported and done now costs nothing.
        from postroj.container.bus import Bus

        sweep()
        leader = self._nspawn.wait_leader(deadline)
        # Opened once: when the guest is gone, its PID may be somebody else's.
        self._guest_root = self._open(f"/proc/{leader}/root", os.O_PATH)
        self._guest_network = self._open(f"/proc/{leader}/ns/net", os.O_RDONLY)
        self._nspawn.check_leader(leader)
        if self._options.has_link:
            self._link()
        if scope:
            self._register(scope, leader)
        self._nspawn.wait_ready(deadline)
        self._bus = self._connect(Bus)

    def _warn(self) -> None:
        if self._options.privileged:
            emit(Warn(f"{self.name} is privileged: nothing keeps root in it from being root on this host"))
        if self._options.network == HOST:
            emit(Warn(f"{self.name} is on the host's network: it reaches what listens on this host, loopback included"))

    def _join(self) -> None:
        """Take the ports and the network that are asked for, before anything boots."""
        if self._options.publish:
            from postroj.container.publish import published

            self._stack.enter_context(published(self._options.publish, self._slot))
        if self._options.shared_network:
            self._share_network()

    def _share_network(self) -> None:
        from postroj.container import networks

        hosts = networks.join(self._slot, self.name, self._options.shared_network)
        self._stack.callback(networks.leave, self._slot)
        self._binds = [*self._binds, Bind(hosts, "/etc/hosts", mapped=False)]

    def _link(self) -> None:
        from postroj.container import network

        with uninterrupted():
            try:
                network.attach(self._slot, self._guest_network)
            except HostError as error:
                self._check_alive(error)  # a guest that is gone is why it has no network
                raise
            self._stack.callback(network.detach, self._slot)
            self._stack.callback(self._nspawn.begin_kill)

    def _register(self, scope: str, leader: int) -> None:
        interface = self._slot.interface if self._options.has_link else ""
        try:
            with uninterrupted():
                self._registration = machined.Registration(self.name, scope, leader, interface)
                self._stack.callback(self._registration.close)
        except HostError as error:
            self._check_alive(error)
            emit(Warn(f"{error}: {error.why}"))

    def _check_alive(self, error: Exception) -> None:
        """Raise BootError where the end of systemd-nspawn explains an error, which then needs no other words."""
        if self._nspawn.has_ended(1):
            raise self._nspawn.failed("systemd-nspawn has ended") from error

    def _connect(self, bus: "type[Bus]") -> "Bus":
        try:
            connected = bus(self._guest_root, self._nspawn.root_uid)
        except (MachineLostError, OSError) as error:
            self._check_alive(error)
            raise HostError(
                f"the machine {self.name} has booted, but its D-Bus cannot be reached",
                why=str(getattr(error, "why", "") or error),
                hint="the image needs dbus: pull it again with `postroj pull`",
            ) from error
        self._stack.callback(connected.close)
        return connected

    def _stop(self) -> None:
        emit(Debug("tearing down"))
        try:
            with uninterrupted():
                self._stack.close()
        finally:
            self._stack.close()  # what an interrupt right before has left of it

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
        from postroj.container import transient
        from postroj.container.capture import let_reopen

        for fd, mode in ((streams.stdin, 0o444), (streams.stdout, 0o222), (streams.stderr, 0o222)):
            if fd is not None:
                let_reopen(fd, mode)
        with self._explained():
            return transient.run(self._bus, argv, streams, deadline=deadline, env=env, workdir=workdir, user=user)

    def command(self, argv: Sequence[str], *, deadline: Deadline, env: Mapping[str, str] | None = None) -> "Completed":
        """Run a command and capture what it prints; see Machine."""
        from postroj.container.capture import Tail, reading
        from postroj.container.transient import Streams
        from postroj.machine import Completed

        emit(Debug(f"{self.name}$ {' '.join(argv)}"))
        output = Tail(lambda line: emit(Output(self.name, line)))
        with reading(output.add) as sink:
            status = self.run(argv, Streams(None, sink, sink), deadline=deadline, env=env)
        return Completed(status, output.text())

    @contextmanager
    def terminal(self, user_terminal: int) -> "Iterator[Streams]":
        """A terminal in the guest, tied to the user's, as the streams of a command."""
        from postroj.container.terminal import attached
        from postroj.container.transient import Streams

        with attached(self._guest_root, self._nspawn.root_uid, user_terminal) as path:
            yield Streams(terminal=path)

    @contextmanager
    def watch_unit(self, name: str) -> "Iterator[UnitWatch]":
        """Follow a unit; see Machine."""
        from postroj.container.units import watch

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

    def out_of_memory(self) -> int:
        """How many processes fell to the out-of-memory killer; see Machine."""
        return self._out_of_memory.kills() if self._out_of_memory else 0

    def _fate(self) -> str:
        """What somebody else has done to it, as far as that is known."""
        if self.out_of_memory():
            return "the out-of-memory killer struck in it: give it more --memory, or free some on this host"
        # systemd kills before it tells of the job that it does so for: the signal may be on its way still.
        if self._registration and self._registration.was_stopped(_SIGNAL_SECONDS if self._nspawn.was_killed() else 0):
            return "its unit was stopped, as `machinectl terminate` and `systemctl stop` do"
        return ""

    def connect(self, host: str, port: int, timeout: float) -> int:
        """Connect from inside the guest's network; see Machine."""
        from postroj.container.guestnet import connect

        return connect(self._guest_network, self._resolve(host), port, timeout)

    def listening(self) -> list[str]:
        """What the guest listens on; see Machine."""
        from postroj.container.guestnet import listening

        return listening(self._guest_network)

    def free_bytes(self) -> int:
        """How much more the guest can write; see Machine."""
        status = os.statvfs(self._guest_root)
        return status.f_bavail * status.f_frsize

    def _open(self, path: str, flags: int) -> int:
        try:
            fd = os.open(path, flags)
        except OSError as error:
            raise self._nspawn.failed("its first process is gone") from error
        self._stack.callback(os.close, fd)
        return fd

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


def sweep() -> list[str]:
    """Remove what killed runs left behind, and say what. What a living run owns is left alone."""
    from postroj.container import network

    removed: list[str] = []
    with uninterrupted():
        removed += [f"machine {name}" for name in claim.sweep()]
        try:
            removed += [f"network link {name}" for name in network.sweep()]
        except (HostError, OSError) as error:  # not this run's business
            emit(Warn(f"what killed runs left of their networks cannot be removed: {error}"))
        _set_back()
        with suppress(OSError):  # the last one out
            os.rmdir(RUNTIME_DIR)
    return removed


def _prepare_kernel() -> None:
    with slot.shared(), suppress(OSError):  # a host that does not let us may have enough for one
        INOTIFY.ensure()


def _set_back(leaving: int | None = None) -> None:
    """Set the host's settings back, if no machine is left but the one that is leaving."""
    if INOTIFY.is_noted():
        with slot.shared():
            if all(one.number == leaving for one in slot.slots()):
                INOTIFY.restore()
