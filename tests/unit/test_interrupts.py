"""Signals that end the process, in processes of their own: what they interrupt, and what they must not."""

import signal
import subprocess
import sys

import pytest

from postroj.interrupts import ENDING, uninterrupted

_SIGNALS = [pytest.param(signum, id=signum.name) for signum in ENDING]


def play(script: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    start = (
        "import os, signal, sys, threading\n"
        "from postroj.errors import Terminated\n"
        "from postroj.interrupts import ENDING, raise_on_termination, uninterrupted\n"
        "signum = int(sys.argv[1])\n"
        "def send(other=None): signal.raise_signal(other or signum)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", start + script, *map(str, arguments)], capture_output=True, text=True, timeout=30
    )


def said(script: str, *arguments: object) -> list[str]:
    done = play(script, *arguments)
    assert done.returncode == 0, done
    return done.stdout.split()


@pytest.mark.parametrize("signum", _SIGNALS)
def test_a_signal_becomes_an_exception_and_context_managers_run(signum: signal.Signals) -> None:
    script = """
raise_on_termination()
try:
    try:
        send()
        print("lived")
    finally:
        print("cleaned")
except KeyboardInterrupt:
    print(2)
except Terminated as ended:
    print(ended.signum)
"""
    assert said(script, int(signum)) == ["cleaned", str(int(signum))]


@pytest.mark.parametrize("second", _SIGNALS)
@pytest.mark.parametrize("signum", _SIGNALS)
def test_a_second_signal_does_not_break_the_teardown_off(signum: signal.Signals, second: signal.Signals) -> None:
    script = """
raise_on_termination()
try:
    send()
except (KeyboardInterrupt, Terminated):
    send(int(sys.argv[2]))
    print("torn down")
"""
    assert said(script, int(signum), int(second)) == ["torn", "down"]


@pytest.mark.parametrize("signum", _SIGNALS)
def test_what_the_parent_ignores_stays_ignored(signum: signal.Signals) -> None:
    script = """
signal.signal(signum, signal.SIG_IGN)
raise_on_termination()
send()
with uninterrupted():
    send()
assert signal.getsignal(signum) is signal.SIG_IGN
print("lived")
"""
    assert said(script, int(signum)) == ["lived"]


@pytest.mark.parametrize("signum", _SIGNALS)
def test_a_signal_is_held_back_and_delivered_at_the_end(signum: signal.Signals) -> None:
    script = """
raise_on_termination()
try:
    with uninterrupted():
        send()
        print("in")
    print("past")
except (KeyboardInterrupt, Terminated) as ended:
    print("out", getattr(ended, "signum", 2))
"""
    assert said(script, int(signum)) == ["in", "out", str(int(signum))]


def test_blocks_within_blocks_hold_until_the_outermost_ends() -> None:
    script = """
raise_on_termination()
try:
    with uninterrupted():
        with uninterrupted():
            send()
        print("inner")
    print("past")
except Terminated:
    print("out")
"""
    assert said(script, int(signal.SIGTERM)) == ["inner", "out"]


def test_many_signals_are_delivered_as_one() -> None:
    script = """
raise_on_termination()
try:
    with uninterrupted():
        for other in (15, 2, 1, 15):
            send(other)
except Terminated as ended:
    print(ended.signum)
print("end")
"""
    assert said(script, int(signal.SIGTERM)) == ["15", "end"]


def test_an_error_in_the_block_is_not_lost() -> None:
    script = """
raise_on_termination()
try:
    with uninterrupted():
        send()
        raise ValueError("mine")
except Terminated as ended:
    print(type(ended.__context__).__name__)
"""
    assert said(script, int(signal.SIGTERM)) == ["ValueError"]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_without_handlers_of_ours_the_signal_kills_at_the_end(signum: signal.Signals) -> None:
    done = play("with uninterrupted():\n    send()\n    print('in', flush=True)\nprint('past')", int(signum))
    assert (done.returncode, done.stdout) == (-signum, "in\n")


def test_another_thread_has_nothing_to_hold_back() -> None:
    script = """
def work():
    with uninterrupted():
        print("worked", signal.getsignal(15) is before)
before = signal.getsignal(15)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
    assert said(script, int(signal.SIGTERM)) == ["worked", "True"]


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(signum) for signum in ENDING]
    with uninterrupted():
        assert [signal.getsignal(signum) for signum in ENDING] != before
    assert [signal.getsignal(signum) for signum in ENDING] == before


@pytest.mark.parametrize("signum", _SIGNALS)
def test_a_signal_that_interrupts_no_system_call_is_noticed(signum: signal.Signals) -> None:
    """As one that comes just before the call; here it comes during the call, and reaches another thread."""
    script = """
raise_on_termination()
signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
waits_in = f"/proc/self/task/{threading.get_native_id()}/wchan"

def send_it():
    while "pipe_read" not in open(waits_in).read():
        pass
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    os.kill(os.getpid(), signum)

reading, _ = os.pipe()
try:
    threading.Thread(target=send_it).start()
    os.read(reading, 1)
except (KeyboardInterrupt, Terminated):
    print("ended")
"""
    assert said(script, int(signum)) == ["ended"]


def test_a_flood_of_signals_holds_nothing_up() -> None:
    """A handler is called in the middle of another one."""
    script = """
from postroj.interrupts import told_of
import itertools
came = []
with told_of(came.append):
    parent = os.getpid()
    if not (child := os.fork()):
        for number, one in zip(range(500_000), itertools.cycle(ENDING)):
            os.kill(parent, one)
        os._exit(0)
    while not os.waitpid(child, os.WNOHANG)[0]:
        pass
print(len(came) > 4)
"""
    assert said(script, 0) == ["True"]
