"""Facts that can be seen from outside, to wait for, and programs that are let go of whatever happens."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

Process = subprocess.Popen[bytes]
T = TypeVar("T")

AT_ONCE = 0.002
"""For `until`, in seconds: for what is there for some milliseconds only. It takes most of a core."""


def until(condition: Callable[[], T], what: str, seconds: float = 60.0, every: float = 0.02) -> T:
    """Return what `condition` returns as soon as it is true; fail after `seconds`. Nothing else in these tests waits.

    `every` is the pause between two looks, in seconds.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        time.sleep(every)
    return found


@contextmanager
def started(words: Sequence[str | Path], env: Mapping[str, str], **streams: int) -> Iterator[Process]:
    """A program in a process group of its own, as a shell starts it; ended with the block."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # where the tests run in a script's background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    process = subprocess.Popen(list(map(str, words)), env=dict(env), process_group=0, **given)  # type: ignore[call-overload]
    with process:
        try:
            yield process
        finally:
            end(process)


def end(process: Process) -> None:
    """Have a program end in its own way, which tears down its machine; only one that does not is killed."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def deliver(process: Process, signum: signal.Signals) -> None:
    """Send a signal as it comes in real life: Ctrl-C reaches the whole foreground group, others the process."""
    if signum is signal.SIGINT:
        os.killpg(process.pid, signum)
    else:
        process.send_signal(signum)


def handles(process: Process, signum: signal.Signals) -> bool:
    """Whether the process has a handler for the signal: SigCgt of proc_pid_status(5)."""
    return bool(int(_status(process.pid).get("SigCgt", "0"), 16) >> (signum - 1) & 1)


def commands() -> Iterator[tuple[int, list[str]]]:
    """PID and command line of all processes that there are, those of guests included."""
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        if command := command_of(pid):
            yield pid, command


def command_of(pid: int) -> list[str]:
    """The command line of a process; nothing where it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").rstrip("\0").split("\0")
    return []


def running(*words: str) -> int:
    """The PID of a process whose command line begins with these words, paths aside; 0 where there is none."""
    for pid, command in commands():
        if tuple(map(os.path.basename, command[: len(words)])) == words:
            return pid
    return 0


def guest_init(process: Process) -> int:
    """The guest's PID 1, started by this postroj; 0 where there is none: a process that is 1 two namespaces down."""
    return _init_of_namespace(process, 2)


def nspawn(process: Process) -> int:
    """The systemd-nspawn of this postroj, or the launcher that becomes it; 0 where there is none yet."""
    return _init_of_namespace(process, 1)


def confinement(process: Process) -> int:
    """What makes the namespaces of the launcher, and waits for its end; 0 where there is none yet."""
    return next((pid for pid in _children(process.pid) if any(w.endswith("launch.sh") for w in command_of(pid))), 0)


def _init_of_namespace(process: Process, depth: int) -> int:
    for pid in _descendants(process.pid):
        numbers = _status(pid).get("NSpid", "").split()
        if len(numbers) == depth + 1 and numbers[-1] == "1":
            return pid
    return 0


def _descendants(pid: int) -> Iterator[int]:
    for child in _children(pid):
        yield child
        yield from _descendants(child)


def _children(pid: int) -> Iterator[int]:
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            yield from map(int, children.read_text().split())


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)
