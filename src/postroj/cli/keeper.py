"""A process that keeps a machine when the command that has started it has ended.

The command forks before anything boots: the machine is owned by the child from the beginning. The parent passes signals
on to it, and ends with the exit status that the child hands over. Until then the end of the parent is the end of
the child; afterwards the child waits for the end of the machine, for its time, or for SIGTERM.
"""

import os
import select
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from postroj import interrupts
from postroj.cli.output import NAMES
from postroj.container import kernel
from postroj.deadline import Deadline
from postroj.errors import HostError
from postroj.events import Debug, emit

if TYPE_CHECKING:
    from postroj.harness.attendant import Linux

_PASSED_ON = (*interrupts.ENDING, signal.SIGWINCH)
_ACCEPTED = b"+"


class Keeper:
    """The child's side."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self.has_kept = False
        """Whether the machine was kept, and the parent is gone."""

    def keep(self, machine: "Linux", reason: str, seconds: float, status: int) -> None:
        """Hand the exit status over, and return when the machine is to be removed.

        At once, if the parent is gone: nobody knows of the machine then.
        """
        machine.keep(reason, seconds)
        sys.stdout.flush()
        kernel.signal_at_parents_end(0)
        try:
            self._channel.send(bytes([status]))
            accepted = self._channel.recv(1)
        except OSError:
            accepted = b""
        if accepted != _ACCEPTED:
            return
        self.has_kept = True
        self._channel.close()
        _leave_caller()
        emit(Debug(f"{machine.name}: {machine.wait_end(Deadline(seconds))}"))


def run(work: Callable[[Keeper], int]) -> int:
    """Do the work in a child, which may go on as a keeper; return its exit status. Raises HostError if it is killed."""
    sys.stdout.flush()
    sys.stderr.flush()
    ours, its = socket.socketpair()
    parent = os.getpid()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
    try:
        with warnings.catch_warnings():
            # There is one other thread, that of `interrupts`, which the child starts anew.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            ours.close()
            _become_child(parent, its)
        else:
            its.close()
            return _Parent(child, ours).wait(mask)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return work(Keeper(its))


def _become_child(parent: int, channel: socket.socket) -> None:
    os.setsid()
    _close_inherited(channel.fileno())
    signal.set_wakeup_fd(-1)
    interrupts.raise_on_termination()
    kernel.signal_at_parents_end(signal.SIGTERM)
    if os.getppid() != parent:  # it has ended before that
        signal.raise_signal(signal.SIGTERM)


def _close_inherited(kept: int) -> None:
    """Close what the caller has open: a lock that it has taken, for example, is not to be held by a keeper."""
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd not in (*NAMES, 0, kept):
            with suppress(OSError):
                if os.get_inheritable(fd):  # what Python opens is not
                    os.close(fd)


def _leave_caller() -> None:
    """Have nothing of the caller's open that somebody may wait for, or want to unmount."""
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    os.close(null)


class _Parent:
    """The parent's side."""

    def __init__(self, child: int, channel: socket.socket) -> None:
        self._child = child
        self._channel = channel

    def wait(self, mask: "set[signal.Signals] | set[int]") -> int:
        """Pass signals on until there is an exit status."""
        came, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        # The C level handler of Python writes to it at once, so no signal is seen too late.
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for signum in _PASSED_ON:
            if signal.getsignal(signum) is not signal.SIG_IGN:
                signal.signal(signum, _nothing)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        poller = select.poll()
        poller.register(came, select.POLLIN)
        poller.register(self._channel, select.POLLIN)
        while self._channel.fileno() not in (ready := dict(poller.poll())):
            if came in ready:
                self._pass_on(os.read(came, 100))
        if handed := self._channel.recv(1):
            with suppress(OSError):  # it has been killed at this moment
                self._channel.send(_ACCEPTED)
            return handed[0]
        return self._ended()

    def _pass_on(self, signums: bytes) -> None:
        for signum in signums:
            if signum in _PASSED_ON:
                with suppress(ProcessLookupError):
                    os.kill(self._child, signum)  # not waited for yet, so its PID is its own

    def _ended(self) -> int:
        _, status = os.waitpid(self._child, 0)
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            raise HostError(f"the process that ran the machine was killed from outside ({name})")
        return os.waitstatus_to_exitcode(status)


def _nothing(signum: int, frame: object) -> None:
    """Stand for a handler: signals are passed on where they are waited for."""
