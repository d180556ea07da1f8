"""An interactive terminal inside the guest, tied to the one that the user sits at."""

import fcntl
import os
import select
import signal
import stat
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from postroj.container import kernel
from postroj.container.guest.guestfs import open_beneath
from postroj.errors import HostError

_CHUNK = 65536
_PTMX = os.makedev(5, 2)

# ioctl_tty(2); the termios module has them not. The same on x86, ARM, RISC-V and s390.
_TIOCGPTN = 0x80045430
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441


@contextmanager
def attached(guest_root: int, root_uid: int, user_terminal: int, screen: int = 1) -> Iterator[str]:
    """A terminal of the guest, as its path there; what is typed and shown is the user's until the block ends.

    What is shown is written to the descriptor `screen`.

    It belongs to `root_uid`, what the guest's root is outside.
    """
    master = kernel.as_user(root_uid, lambda: _open_master(guest_root))
    try:
        number = int.from_bytes(fcntl.ioctl(master, _TIOCGPTN, bytes(4)), "little")
        fcntl.ioctl(master, _TIOCSPTLCK, bytes(4))
        with _resizing(user_terminal, master), _raw(user_terminal), _copying(user_terminal, screen, master):
            yield f"/dev/pts/{number}"
    finally:
        os.close(master)


def _open_master(guest_root: int) -> int:
    with open_beneath(guest_root, "dev/pts/ptmx") as fd:
        status = os.fstat(fd)
        if not stat.S_ISCHR(status.st_mode) or status.st_rdev != _PTMX:
            raise HostError("the guest's /dev/pts/ptmx is not what it should be")
        return os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_NOCTTY)


@contextmanager
def _raw(terminal: int) -> Iterator[None]:
    before = termios.tcgetattr(terminal)
    tty.setraw(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


@contextmanager
def _resizing(terminal: int, master: int) -> Iterator[None]:
    def resize(signum: int, frame: FrameType | None) -> None:
        fcntl.ioctl(master, termios.TIOCSWINSZ, fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8)))

    resize(signal.SIGWINCH, None)
    before = signal.signal(signal.SIGWINCH, resize)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


@contextmanager
def _copying(terminal: int, screen: int, master: int) -> Iterator[None]:
    wake, woken = os.pipe()

    def copy() -> None:
        # A terminal whose other side is closed, or not open yet, gives EIO: not open yet is ruled out by a slave
        # that is held below.
        poller = select.poll()
        for fd in (terminal, master, wake):
            poller.register(fd, select.POLLIN)
        while True:
            ready = dict(poller.poll())
            if master in ready:
                try:
                    shown = os.read(master, _CHUNK)
                except OSError:
                    return
                os.write(screen, shown)
            elif wake in ready:
                return
            if terminal in ready:
                typed = os.read(terminal, _CHUNK)
                if typed:
                    os.write(master, typed)
                else:
                    poller.unregister(terminal)

    # TIOCGPTPEER (Linux 4.13) opens the other side without a path, so no guest can lead us elsewhere.
    peer = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY)
    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    try:
        yield
    finally:
        with suppress(OSError):
            termios.tcdrain(peer)
        os.close(peer)
        os.close(woken)
        thread.join(1)
        os.close(wake)
