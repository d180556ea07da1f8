"""A VM that has booted, as a machine: its guest, and what is done to it as a whole."""

import hashlib
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from postroj.contract import Capabilities, Changes
from postroj.deadline import NEVER, Deadline
from postroj.errors import DeadlineError, HostError, MachineLostError, RebootError
from postroj.events import Warn, about, emit
from postroj.systemd.system import Systemd
from postroj.vm import listing, records
from postroj.vm.guest import AGAIN_SECONDS, ASK_SECONDS, BUS, Guest
from postroj.vm.ssh import Connection, Login

if TYPE_CHECKING:
    from postroj.contract import System

_LIST_SECONDS = 600.0
_REBOOT_SECONDS = 600.0
_LOOK_SECONDS = 5.0
_BACK_SECONDS = 120.0
"""How long a machine that was lost may take until it answers, to be seen to have rebooted."""


def not_rebooted(name: str, deadline: Deadline, seconds: float) -> HostError:
    """Return the error of a machine that did not boot again: within its own limit, or before the deadline of all."""
    if deadline.expired():
        what = f"the machine {name} had not rebooted within {deadline.seconds:g} s"
        return DeadlineError(what, hint="see --timeout")
    return RebootError(f"the machine {name} did not boot again within {seconds:g} s")


class Power(Protocol):
    """What can be done to a VM from outside; `warm` has the one that Vagrant does."""

    def save(self, number: int, *, deadline: Deadline) -> None:
        """Keep the VM as it is, as a snapshot."""

    def restore(self, number: int, *, deadline: Deadline) -> None:
        """Have it as it was at a snapshot; 0 is as it was at the start."""

    def ended(self) -> str:
        """Return how the VM has ended by its guest's own doing, as a clause; empty if it has not, or nothing tells."""


class VirtualMachine(Guest):
    """A machine; see contract.Machine. A context manager: inside the block it can be asked."""

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
        super().__init__(name, deadline)
        self._login = login
        self._power = power
        self._brought = brought
        self._snapshots = 0
        self._path = os.path.dirname(login.known_hosts)
        self._list = os.path.join(self._path, "files")
        self._has_list = False
        self._is_watched = False
        """Whether an end that comes now is the guest's own."""

    def __enter__(self) -> "VirtualMachine":
        records.forget_kept(self._path)  # of a process that was killed
        try:
            self._connect(self.deadline)
            self._list_files()
            self._bring_files()
            self._is_watched = True
        except BaseException:
            self._hang_up()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        records.forget_kept(self._path)
        self._hang_up()

    @property
    def system(self) -> "System":
        """What its systemd does; see Machine."""
        return Systemd(self)

    @property
    def capabilities(self) -> Capabilities:
        """What it can do; see Machine."""
        return Capabilities(reboot=True, snapshot=True, changes=self._has_list, own_kernel=True)

    def reconnect(self) -> None:
        """Connect again: a signal has broken off what was asked. Raises HostError."""
        self._connect(Deadline(ASK_SECONDS))

    def keep(self, reason: str, seconds: float) -> None:
        """Let others know why it stays when its work is done, and for how long."""
        records.write_kept(self._path, reason, time.time() + seconds)

    def wait_end(self, deadline: Deadline) -> str:
        """Return what has ended it, or that its time is up; a reboot from inside is followed."""
        while True:
            try:
                self._there.wait_end(deadline)
            except subprocess.TimeoutExpired:
                return "its time is up"
            try:
                self._connect(Deadline(_REBOOT_SECONDS), seconds=_REBOOT_SECONDS)
            except MachineLostError as error:
                return error.what

    def reboot(self, *, deadline: Deadline) -> None:
        """Have it reboot; see Machine."""
        deadline = deadline.sooner(_REBOOT_SECONDS)
        with about(self.name), self._unwatched():
            before, killed = self._boot_id(), self.out_of_memory()
            self._begin_reboot()
            with suppress(subprocess.TimeoutExpired):
                self._there.wait_end(deadline)
            self._hang_up()
            while not deadline.expired():
                with suppress(MachineLostError, subprocess.TimeoutExpired):
                    self._connect(deadline, seconds=_REBOOT_SECONDS)
                    if self._boot_id() != before:
                        self._killed_before = killed
                        self._bring_files()
                        return
                    self._there.wait_end(deadline)
                time.sleep(AGAIN_SECONDS)  # nothing tells when its sshd listens
        raise not_rebooted(self.name, self.deadline, _REBOOT_SECONDS)

    def _begin_reboot(self) -> None:
        self._bus.tell("StartUnit", "ss", "reboot.target", "replace-irreversibly")

    def snapshot(self, *, deadline: Deadline) -> int:
        """Keep it as it is; see Machine. It does not reboot for that: its memory is kept as well."""
        self._told(["sync"])
        with self._unwatched():
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
        killed = self._killed_before
        with self._unwatched():
            with suppress(MachineLostError):
                killed = self.out_of_memory()
            self._hang_up()
            self._power.restore(number, deadline=deadline)
            self._snapshots = number
            self._connect(deadline)
            self._killed_before = max(0, killed - self._killed())  # the log is as it was then
            self._bring_files()

    @contextmanager
    def _unwatched(self) -> Iterator[None]:
        """It is ended from outside meanwhile."""
        self._is_watched = False
        yield
        self._is_watched = True

    def _lost(self, error: MachineLostError) -> MachineLostError:
        if error.by_guest:
            return error  # it is passed on
        lost = super()._lost(error)
        if not self._is_watched:
            return lost
        self._is_watched = False  # it is looked into once
        if how := self._own_end():
            lost = MachineLostError(f"the machine {self.name} is lost: {how}", why=lost.why)
            lost.by_guest = True
        return lost

    def _own_end(self) -> str:
        """Return how its guest has ended it, as a clause: it is off, or another boot of it answers; empty if not."""
        before, deadline = self._boot, self.deadline.sooner(_BACK_SECONDS)
        while not deadline.expired():
            if how := self._power.ended():
                return how
            with suppress(HostError, OSError, subprocess.TimeoutExpired):
                self._connect(deadline, seconds=_LOOK_SECONDS)
                if before and self._boot not in (before, ""):
                    return "it was rebooted from inside"
                self._there.wait_end(deadline)  # it may be about to end
        return self._power.ended()

    def _bring_files(self) -> None:
        for source, target in self._brought:
            with open(source, "rb") as file:
                self.push(target, file)

    def changes(self) -> Changes:
        """Return what differs from the VM as it was prepared; see Machine.

        Of files outside /etc that have kept their size, the time of the last write tells. Raises HostError if there are
        too many files.
        """
        with self._explained():
            return listing.changes(listing.load(self._list), listing.parse(self._files_listed()))

    def _list_files(self) -> None:
        """Have a list of the files of the VM as it was prepared: made once, as each VM has a host key of its own."""
        with open(self._login.known_hosts, "rb") as file:
            key = hashlib.sha256(file.read()).hexdigest().encode()
        if not listing.is_of(self._list, key):
            try:
                listed = self._files_listed()
            except MachineLostError:
                raise
            except HostError as error:
                emit(Warn(f"what is changed on its disk is not looked at: {error.what}"))
                return
            listing.save(self._list, key, listed)
        self._has_list = True

    def _files_listed(self) -> bytes:
        """Return what the script prints. Raises HostError if that is not all: the rest would seem to be removed."""
        told = self._asked(["sh", "-c", listing.SCRIPT], most=listing.MOST_BYTES, seconds=_LIST_SECONDS)
        if told.is_cut:
            raise HostError(f"the list of files of {self.name} has more than {listing.MOST_BYTES >> 20} MiB")
        if told.status:
            raise HostError(f"the files of {self.name} cannot be listed: find ended with status {told.status}")
        return told.output

    def _opened(self, deadline: Deadline) -> Connection:
        return Connection(self._login, forward=[BUS], deadline=deadline)
