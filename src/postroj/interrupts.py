"""Signals that ask the process to end: made exceptions, and held back where half-done work would leave debris."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from postroj.errors import Terminated

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

_noticed: list[int] = []
"""The signals of which Python has called the handler. No Event: its lock would hold up a handler in a handler."""
_AGAIN_SECONDS, _AGAIN_TIMES = 0.1, 100
_FOLLOWER = "signals"


def raise_on_termination() -> None:
    """Have SIGTERM, SIGHUP and SIGQUIT raise `Terminated`, as SIGINT raises KeyboardInterrupt: context managers run.

    Once one has come, others are ignored: the teardown that it begins is short, and not to be broken off. A signal
    that the parent has ignored (nohup) stays ignored.
    """

    def terminate(signum: int, frame: FrameType | None) -> None:
        _noticed.append(signum)
        for other in ENDING:
            signal.signal(other, _nothing)  # not SIG_IGN: of one that is on its way already Python would complain
        raise KeyboardInterrupt if signum == signal.SIGINT else Terminated(signum)

    for signum in ENDING:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, terminate)
    _have_all_noticed()


def _have_all_noticed() -> None:
    """Have no signal go unnoticed until a blocking system call ends.

    Python looks for signals before such a call, and after one that a signal has interrupted. One that comes between
    the look and the call interrupts nothing (https://docs.python.org/3/library/signal.html, "Execution of Python signal
    handlers"). A thread that is told of each signal interrupts the call by another one, SIGURG, which means nothing.
    """
    if any(thread.name == _FOLLOWER for thread in threading.enumerate()):
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGURG, _nothing)
    main = threading.main_thread().ident
    assert main is not None

    def follow() -> None:
        while True:
            if os.read(reading, 1)[0] not in ENDING:
                continue
            for _ in range(_AGAIN_TIMES):
                time.sleep(_AGAIN_SECONDS)  # nothing that a handler may do could tell
                if _noticed:
                    break
                signal.pthread_kill(main, signal.SIGURG)

    threading.Thread(target=follow, name=_FOLLOWER, daemon=True).start()


def _nothing(signum: int, frame: FrameType | None) -> None:
    """What is done about a signal that comes after the first."""


def has_come() -> bool:
    """Return whether a signal that ends the process has come."""
    return bool(_noticed)


@contextmanager
def told_of(handler: Callable[[int], None]) -> Iterator[None]:
    """Have the signals that end the process call `handler` with their number instead; those that are ignored stay so.

    Signal handlers run in the main thread only, so elsewhere there is nothing to do.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def tell(signum: int, frame: FrameType | None) -> None:
        _noticed.append(signum)
        handler(signum)

    before = {signum: signal.getsignal(signum) for signum in ENDING}
    taken = {signum: other for signum, other in before.items() if callable(other) or other is signal.SIG_DFL}
    for signum in taken:
        signal.signal(signum, tell)
    try:
        yield
    finally:
        for signum, other in taken.items():
            signal.signal(signum, other)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back the signals that end the process; one that came is delivered at the end of the block."""
    came: list[int] = []
    try:
        with told_of(came.append):
            yield
    finally:
        if came:
            signal.raise_signal(came[0])
