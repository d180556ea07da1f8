"""What every container has, booted or not: its name, number, network, registration, and its end."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from postroj.container.host import claim, limits, machined, scope, slot, sysctl
from postroj.container.launch.binds import Bind
from postroj.container.launch.nspawn import BOOT_SECONDS, Nspawn
from postroj.container.launch.state import State
from postroj.container.network import proxy, resolver
from postroj.container.options import HOST, NONE, Options
from postroj.deadline import NEVER, Deadline
from postroj.errors import BootError, DeadlineError, HostError
from postroj.events import Debug, Warn, about, emit, warned_once
from postroj.interrupts import uninterrupted
from postroj.settings import RUNTIME_DIR
from postroj.streams import Streams

if TYPE_CHECKING:
    from postroj.container.network.pump import Connections
    from postroj.container.network.relay import Relay

_DEFAULT = Options()
_SIGNAL_SECONDS = 2.0


class Lifecycle(ABC):
    """A systemd-nspawn on a root directory, with all that is made for it and goes with it.

    A context manager: inside the block the guest is there, after it nothing of it is left. `name` gets a suffix where
    it is taken, unless `exact_name`. With `ephemeral` the root directory stays as it is: the guest writes to an overlay
    in memory, and sees the files of the directory `layer` over those of the root. With `proxies` it is told the host's
    proxies. `image` is what the root directory is called. `meanwhile` is called while it boots, when that costs no
    time. Raises BootError, HostError, and UsageError for a name that is taken.
    """

    _BEGUN = "begun"
    _BOOTS = False

    def __init__(
        self,
        root: str,
        name: str,
        *,
        exact_name: bool = False,
        binds: Sequence[Bind] = (),
        options: Options = _DEFAULT,
        deadline: Deadline = NEVER,
        ephemeral: bool = True,
        layer: str = "",
        proxies: bool = False,
        image: str = "",
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        options.check()
        self._options = options
        self._root = root
        self._wanted_name = name
        self._exact_name = exact_name
        self._binds = binds
        self._deadline = deadline
        self._ephemeral = ephemeral
        self._layer = layer
        self._stack = ExitStack()
        """What the machine has from its start to its end."""
        self._boot = ExitStack()
        """What a boot has, and the next one has anew."""
        self._state = State()
        self._warned: set[str] = set()
        self._killed_before = 0
        self._registration: machined.Registration | None = None
        self._out_of_memory: limits.OutOfMemory | None = None
        self._relays: list[Relay] = []
        self._published: Connections | None = None
        self._resolv_conf = ""
        self._wants_proxies = proxies
        self._image = image
        self._meanwhile = meanwhile
        self._proxies: dict[str, str] = {}
        """Variables that name the host's proxies, as the guest can reach them."""
        self._relayed: dict[str, str] = {}
        """The proxies on the host's loopback: their URLs on the host, by those in the guest."""

    @property
    def deadline(self) -> Deadline:
        """When the time for all that it was started for is up; see Machine."""
        return self._deadline

    @abstractmethod
    def _begin(self, deadline: Deadline) -> None:
        """Have the guest there: `_claim_all`, `_start`, `_meet`, in this order."""

    def __enter__(self) -> Self:
        if self._binds:
            from postroj.container import targets

            targets.check(self._root, self._binds, boots=self._BOOTS)
        try:
            with warned_once(self._warned):
                self._begin(self._deadline.sooner(BOOT_SECONDS))
        except BootError as error:
            fate = self._fate()
            self._stop()
            if fate:
                raise BootError(f"the machine {self._wanted_name} did not come up: {fate}", why=error.why) from error
            if self._deadline.expired():
                what = f"the machine {self._wanted_name} had not {self._BEGUN} within {self._deadline.seconds:g} s"
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

    def _claim_all(self) -> None:
        """Take what it needs of the host before anything starts."""
        self._registered = machined.is_there()
        self._claim = claim.claim(self._wanted_name, exact=self._exact_name, with_cgroup=not self._registered)
        self._stack.callback(self._claim.release)
        self._slot = slot.take()
        self._stack.callback(_leave, self._slot)
        _prepare_kernel()
        self.name = self._claim.name
        self._stack.enter_context(about(self.name))
        self._join()
        self._find_names()
        if self._wants_proxies and self._options.network != NONE:
            self._find_proxies()
        self._warn()
        self._stack.callback(self._boot.close)
        self._stack.callback(self._state.close)

    def _start(self, arguments: Sequence[str], *, streams: Streams | None = None) -> None:
        """Start systemd-nspawn with arguments of its own; it waits for `_go`."""
        self._scope = scope.unit_name(self.name) if self._registered else ""
        self._nspawn = Nspawn(
            self._claim,
            self._slot,
            self._root,
            self._state,
            arguments,
            options=self._options,
            binds=self._binds,
            scope=self._scope,
            ephemeral=self._ephemeral,
            layer=self._layer,
            resolv_conf=self._resolv_conf,
            streams=streams,
        )
        self._boot.callback(self._nspawn.kill)

    def _go(self, deadline: Deadline) -> None:
        """Have it begin; it needs a while before the guest is there, in which other things can be done."""
        self._nspawn.go(deadline)
        if self._options.capabilities and self._nspawn.root_uid:
            names = ", ".join(self._options.capabilities)
            emit(Warn(f"{self.name} has {names} in its user namespace, by --capability: not over the host's kernel"))
        if self._scope or not self._out_of_memory:  # the cgroup of a claim stays, and goes on counting
            self._out_of_memory = limits.OutOfMemory(self.name, self._nspawn.memory_cgroup)

    def _meet(self, deadline: Deadline) -> None:
        """Wait for the guest's first process, and give it its link and its registration."""
        self._leader = leader = self._nspawn.wait_leader(deadline)
        # Opened once: when the guest is gone, its PID may be somebody else's.
        self._guest_root = self._open(f"/proc/{leader}/root", os.O_PATH)
        self._guest_network = self._open(f"/proc/{leader}/ns/net", os.O_RDONLY)
        self._nspawn.check_leader(leader)
        self._root_uid = self._nspawn.root_uid
        if self._options.has_link:
            self._link()
        if self._scope:
            self._register(self._scope, leader)

    def _warn(self) -> None:
        if self._options.privileged:
            emit(Warn(f"{self.name} is privileged: root in it is root on this host"))
        if self._options.network == HOST:
            emit(Warn(f"{self.name} is on the host's network: it reaches what listens on this host, loopback included"))

    def _join(self) -> None:
        """Take the ports and the network that are asked for, before anything boots."""
        if self._options.publish:
            from postroj.container.network.publish import published

            self._published = self._stack.enter_context(published(self._options.publish, self._slot))
        if self._options.shared_network:
            self._share_network()

    def _find_names(self) -> None:
        """Let it ask the host's name servers, by a relay if it cannot reach them itself."""
        if self._options.network == NONE:
            return
        found = resolver.read()
        self._resolv_conf = found.text
        if self._options.has_link and found.is_out_of_reach:
            self._relay(resolver.targets(found.servers), dns=True)
            self._resolv_conf = found.asking(self._slot.host_address)

    def _find_proxies(self) -> None:
        """Let it use the host's proxies, by a relay if one is on the host's loopback."""
        self._proxies = found = proxy.variables()
        for address in proxy.addresses(found) if self._options.has_link else ():
            if targets := proxy.targets(address):
                relay = self._relay(targets)
                own = proxy.at(address, self._slot.host_address, relay.port)
                self._relayed[own] = address
                self._proxies = {name: own if value == address else value for name, value in self._proxies.items()}

    def as_on_host(self, text: str) -> str:
        """Return what was printed in it, with the host's proxies as they are called on the host."""
        return proxy.as_on_host(text, self._relayed)

    def _relay(self, targets: Sequence[resolver.Target], *, dns: bool = False) -> "Relay":
        from postroj.container.network.relay import Relay

        relay = Relay(self._slot, targets, dns=dns)
        self._stack.callback(relay.close)
        self._relays.append(relay)
        return relay

    def _share_network(self) -> None:
        from postroj.container.network import shared

        hosts = shared.join(self._slot, self.name, self._options.shared_network)
        self._stack.callback(shared.leave, self._slot)
        self._binds = [*self._binds, Bind(hosts, "/etc/hosts", mapped=False)]

    def _link(self) -> None:
        from postroj.container.network import link

        with uninterrupted():
            try:
                link.attach(self._slot, self._guest_network, self._relays)
            except HostError as error:
                self._nspawn.check_alive(error)  # a guest that is gone is why it has no network
                raise
            self._boot.callback(link.detach, self._slot)
            self._boot.callback(self._nspawn.begin_kill)

    def _register(self, scope: str, leader: int) -> None:
        interface = self._slot.interface if self._options.has_link else ""
        try:
            with uninterrupted():
                self._registration = machined.Registration(self.name, scope, leader, interface)
                self._boot.callback(self._registration.close)
        except HostError as error:
            self._nspawn.check_alive(error)
            emit(Warn(f"{error}: {error.why}"))

    def _open(self, path: str, flags: int) -> int:
        try:
            fd = os.open(path, flags)
        except OSError as error:
            raise self._nspawn.gone() from error
        self._boot.callback(os.close, fd)
        return fd

    def out_of_memory(self) -> int:
        """How many processes fell to the out-of-memory killer; see Machine."""
        return self._killed_before + (self._out_of_memory.kills() if self._out_of_memory else 0)

    def warn_of_memory(self) -> None:
        """Say so where the out-of-memory killer has struck."""
        if kills := self.out_of_memory():
            emit(Warn(f"the kernel's OOM killer ended processes in {self.name}: {kills}"))

    def _fate(self) -> str:
        """What somebody else has done to it, as far as that is known."""
        if self.out_of_memory():
            return "the kernel's OOM killer ended processes in it: give it more --memory, or free some on this host"
        # systemd kills before it tells of the job that it does so for: the signal may be on its way still.
        if self._registration and self._registration.was_stopped(_SIGNAL_SECONDS if self._nspawn.was_killed() else 0):
            return "its unit was stopped, as `machinectl terminate` and `systemctl stop` do"
        return ""

    def _end_boot(self) -> None:
        """Kill what is left of a boot, and give back what was its alone: the machine keeps its name and its state."""
        with uninterrupted():
            self._boot.close()
            self._claim.vacate()
        # Nobody tells the host of the end of a connection whose link is gone.
        if self._published:
            self._published.break_off()
        for relay in self._relays:
            relay.break_off()
        if self._scope:  # and with it the kernel's count
            self._killed_before, self._out_of_memory = self.out_of_memory(), None
        self._registration = None
        # Their numbers may be those of other files by now.
        self._guest_root = self._guest_network = -1

    def _stop(self) -> None:
        emit(Debug("tearing down"))
        try:
            with uninterrupted():
                self._stack.close()
        finally:
            self._stack.close()  # what an interrupt right before has left of it


def sweep() -> list[str]:
    """Remove what killed runs left behind, and say what. What a living run owns is left alone."""
    from postroj.container.network import link

    removed: list[str] = []
    with uninterrupted():
        removed += [f"machine {name}" for name in claim.sweep()]
        try:
            removed += [f"network link {name}" for name in link.sweep()]
        except (HostError, OSError) as error:  # not this run's business
            emit(Warn(f"cannot clean up the networks of killed machines: {error}"))
        _set_back()
        with suppress(OSError):  # the last one out
            os.rmdir(RUNTIME_DIR)
    return removed


def _prepare_kernel() -> None:
    with slot.lock_runtime_dir():
        for setting in sysctl.OF_MACHINES:
            with suppress(OSError, ValueError):  # a host that does not let us, or a broken note
                setting.ensure()


def _leave(left: slot.Slot) -> None:
    """Give a number back, and set the host's settings back with the last one."""
    with slot.lock_runtime_dir():  # of two that leave at once, one is the last
        left.release()
        _restore_kernel()


def _set_back() -> None:
    """Set the host's settings back where a killed machine was the last."""
    if any(setting.is_noted() for setting in sysctl.OF_MACHINES):
        with slot.lock_runtime_dir():
            _restore_kernel()


def _restore_kernel() -> None:
    if not slot.slots():
        for setting in sysctl.OF_MACHINES:
            with suppress(OSError, ValueError):
                setting.restore()
