"""A container: an image, booted by systemd-nspawn, as a machine."""

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from postroj.container.guest.guest import Guest
from postroj.container.host import record
from postroj.container.launch.nspawn import KILLED
from postroj.container.lifecycle import Lifecycle, sweep
from postroj.deadline import NEVER, Deadline
from postroj.errors import (
    BootError,
    DeadlineError,
    HostError,
    MachineLostError,
    PostrojError,
    RebootError,
    RefusedError,
)
from postroj.events import Debug, about, emit, warned_once
from postroj.interrupts import uninterrupted

if TYPE_CHECKING:
    from postroj.contract import Capabilities, Changes, System
    from postroj.systemd.bus import Bus

_END_SECONDS = 5.0
_SHUTDOWN_SECONDS = _REBOOT_SECONDS = 300.0
"""Longer than the 90 s that systemd gives a unit to start or to stop: systemd-system.conf(5)."""
_REBOOT = 133
"""The exit status of nspawn by which it asks to be started again: systemd-nspawn(1)."""
_NOT_REBOOTED = "its reboot has failed"
_LAST = ("", "init.scope", "systemd-journald.service", "systemd-udevd.service")
"""Units that a shutdown lets go on until all others have stopped."""


class Container(Lifecycle, Guest):
    """A machine made from a root directory, which stays as it is. Inside the block it has booted; see Lifecycle."""

    _BEGUN = "booted"
    _BOOTS = True
    _record: record.Record | None = None
    _ended = ""
    """Why it is not there, after a reboot that has failed."""

    def _begin(self, deadline: Deadline) -> None:
        with uninterrupted():
            self._claim_all()
            emit(Debug(f"{self.name} boots from {self._root}"))
            self._launch()
        self._go(deadline)
        # nspawn needs a while before the guest boots, on one core: what is imported and done now costs nothing.
        import json  # noqa: F401

        from postroj.container.guest import bus, transient  # noqa: F401
        from postroj.systemd import units  # noqa: F401

        if self._meanwhile:
            self._meanwhile()
        sweep()
        self._await(deadline)

    def _launch(self) -> None:
        self._start(["--boot", "--notify-ready=yes", "--console=pipe"])

    def _await(self, deadline: Deadline) -> None:
        """Return when it has booted."""
        self._meet(deadline)
        self._nspawn.wait_ready(deadline)
        self._bus = self._connect()
        self._tell()

    def _tell(self) -> None:
        """Let other processes know where it is: see Attached."""
        try:
            self._record = record.made(self._leader, self._root_uid, self._image, self._record)
        except OSError as error:  # it is gone already
            raise self._nspawn.gone() from error
        record.write(self._claim.path, self._record)
        record.write_proxies(self._claim.path, self._proxies)

    def keep(self, reason: str, seconds: float) -> None:
        """Let others know why it stays when its work is done, and for how long."""
        assert self._record
        self._record = self._record._replace(reason=reason, until=time.time() + seconds)
        record.write(self._claim.path, self._record)

    def wait_end(self, deadline: Deadline) -> str:
        """Return what has ended it, or that its time is up; a reboot from inside is followed."""
        while ended := self._nspawn.wait_exit(deadline):
            if ended[0] != _REBOOT:
                return self._what_became()[0]
            with about(self.name):
                self.out_of_memory()  # counted while its cgroup is there
                self._end_boot()
                self._boot_again(NEVER)
        return "its time is up"

    def _connect(self) -> "Bus":
        from postroj.container.guest import bus

        try:
            connected = bus.connect(self._guest_root, self._root_uid)
        except (MachineLostError, OSError) as error:
            self._nspawn.check_alive(error)
            how = "has booted, but its D-Bus cannot be reached"
            failed = BootError(
                f"the machine {self.name} {how}",
                why=str(getattr(error, "why", "") or error),
                hint="the image needs dbus: pull it again with `postroj pull`",
            )
            failed.how = f"it {how}"
            raise failed from error
        self._boot.callback(connected.close)
        return connected

    def reboot(self, *, deadline: Deadline) -> None:
        """Shut it down and boot it again; see Machine."""
        with about(self.name):
            self._shut_down(deadline)
            self._boot_again(deadline)

    def snapshot(self, *, deadline: Deadline) -> int:
        """Keep what is on its root file system; see Machine."""
        self._check_layers()
        with about(self.name):
            self._shut_down(deadline)
            self._state.add_layer()
            self._boot_again(deadline)
        return self._state.snapshots

    def restore(self, snapshot: int | None = None, *, deadline: Deadline) -> None:
        """Boot it as it was at a snapshot; see Machine."""
        self._check_layers()
        number = self._state.snapshots if snapshot is None else snapshot
        if not 0 <= number <= self._state.snapshots:
            raise ValueError(f"there is no snapshot {number}")
        with about(self.name):
            self.out_of_memory()
            self._end_boot()
            self._state.restore(number)
            self._boot_again(deadline)

    def changes(self) -> "Changes":
        """Return what it has changed over its image; see Machine."""
        from postroj.container.guest.changes import read

        self._check_layers()
        image = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with self._state.opened() as layers:
                return read(layers, image, self._root_uid)
        finally:
            os.close(image)

    @property
    def system(self) -> "System":
        """What its systemd does; see Machine."""
        from postroj.systemd.system import Systemd  # no boot needs it

        return Systemd(self)

    @property
    def capabilities(self) -> "Capabilities":
        """What it can do; see Machine."""
        from postroj.contract import Capabilities

        return Capabilities(reboot=True, snapshot=self._ephemeral, changes=self._ephemeral)

    def _check_layers(self) -> None:
        if not self._ephemeral:
            raise HostError(f"the machine {self.name} writes to its image, and keeps no changes apart")

    def _shut_down(self, deadline: Deadline) -> None:
        """Have it end by itself, as before a reboot."""
        self.out_of_memory()  # counted while its cgroup is there
        deadline = deadline.sooner(_SHUTDOWN_SECONDS)
        if self._ended or self._nspawn.has_ended(0):
            raise self._lost(MachineLostError(""))
        try:
            self._bus.manager("StartUnit", "ss", "reboot.target", "replace-irreversibly")
        except RefusedError as error:
            raise self._not_shut_down("its systemd refused to reboot", error.why) from error
        except MachineLostError as error:  # the shutdown may be faster than the answer
            if not self._nspawn.has_ended(_END_SECONDS):
                raise self._lost(error) from error
        ended = self._nspawn.wait_exit(deadline)
        if ended is None:
            raise self._not_shut_down(f"it did not end within {deadline.seconds:g} s", self._nspawn.said())
        if ended[0] != _REBOOT:
            raise self._lost(MachineLostError("", why=ended[1]))
        self._end_boot()

    def _not_shut_down(self, how: str, why: str) -> HostError:
        units = sorted({one.unit for one in self.processes() if one.unit not in _LAST})
        return self._not_rebooted("shutdown", how, why, units)

    def _boot_again(self, deadline: Deadline) -> None:
        """Boot it on what it has written."""
        deadline = deadline.sooner(_REBOOT_SECONDS)
        self._ended = _NOT_REBOOTED
        self._state.empty_tmp()
        with warned_once(self._warned):
            try:
                with uninterrupted():
                    emit(Debug(f"{self.name} boots again"))
                    self._launch()
                self._go(deadline)
                self._await(deadline)
            except BootError as error:
                if fate := self._fate():
                    self._ended = fate
                    raise MachineLostError(f"the machine {self.name} is lost: {fate}", why=error.why) from error
                raise self._not_rebooted("boot", error.how, error.why, self._starting()) from error
        self._ended = ""

    def _starting(self) -> list[str]:
        """Return the units that a boot waits for, if that can be asked."""
        from postroj.container.guest import bus
        from postroj.systemd.units import jobs

        with suppress(PostrojError, OSError):
            connected = bus.connect(self._guest_root, self._root_uid)
            try:
                return sorted(jobs(connected))
            finally:
                connected.close()
        return []

    def _not_rebooted(self, phase: str, how: str, why: str, units: list[str]) -> HostError:
        """End what is left of it, and return the error."""
        error: HostError
        if self._deadline.expired():
            what = f"the machine {self.name} had not rebooted within {self._deadline.seconds:g} s"
            error = DeadlineError(what, why=why, hint="see --timeout")
        else:
            did = "shut down for its reboot" if phase == "shutdown" else "come back from its reboot"
            waits = f", waiting for {', '.join(units[:3])}" if units else ""
            error = RebootError(f"the machine {self.name} did not {did}: {how}{waits}", why=why)
            error.phase, error.units = phase, tuple(units)
        self._ended = _NOT_REBOOTED
        self._end_boot()
        return error

    def _lost(self, error: MachineLostError) -> MachineLostError:
        what, by_guest = (self._ended, False) if self._ended else self._what_became()
        lost = MachineLostError(f"the machine {self.name} is lost: {what}", why=error.why)
        lost.by_guest = by_guest
        return lost

    def _what_became(self) -> tuple[str, bool]:
        """Return what has ended it, and whether that was its own doing."""
        ended = self._nspawn.wait_exit(Deadline(_END_SECONDS))
        if fate := self._fate():
            return fate, False
        if ended is None:
            return "its D-Bus went away: stopped or removed from inside", True
        if ended[0] in (0, _REBOOT):
            return "it was shut down or rebooted from inside", True
        if self._nspawn.was_killed():
            return KILLED, False
        return f"its systemd was killed, or crashed (systemd-nspawn ended with status {ended[0]})", False
