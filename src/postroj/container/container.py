"""A container: an image, booted by systemd-nspawn, as a machine."""

from typing import TYPE_CHECKING

from postroj.container.guest.guest import Guest
from postroj.container.launch.nspawn import KILLED
from postroj.container.lifecycle import Lifecycle, sweep
from postroj.deadline import Deadline
from postroj.errors import HostError, MachineLostError
from postroj.events import Debug, emit
from postroj.interrupts import uninterrupted

if TYPE_CHECKING:
    from postroj.container.guest.bus import Bus

_END_SECONDS = 5.0
_REBOOT = 133
"""The exit status of nspawn by which it asks to be started again: systemd-nspawn(1)."""


class Container(Lifecycle, Guest):
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
            connected = bus(self._guest_root, self._root_uid)
        except (MachineLostError, OSError) as error:
            self._nspawn.check_alive(error)
            raise HostError(
                f"the machine {self.name} has booted, but its D-Bus cannot be reached",
                why=str(getattr(error, "why", "") or error),
                hint="the image needs dbus: pull it again with `postroj pull`",
            ) from error
        self._stack.callback(connected.close)
        return connected

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
