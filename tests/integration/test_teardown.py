"""Machines that fail, die or come in numbers: nothing is left behind, nothing hangs, and it is said what happened."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from badinput import assert_no_verdict, assert_told
from moments import guest_init, running, started, until
from residue import Residue
from scratch import scratch_state
from support import POSTROJ, Run

_CYCLES = 10


@pytest.fixture
def with_as_systemd(bookworm: str) -> Iterator[Callable[[str], dict[str, str]]]:
    """Settings for postroj with which bookworm has a script in systemd's place."""
    with scratch_state(bookworm) as state:

        def replace(script: str) -> dict[str, str]:
            program = state / "images" / bookworm / "usr/lib/systemd/systemd"
            program.unlink()  # it is a hard link, and must not be written through
            program.touch(mode=0o755)
            program.write_text(f"#!/bin/sh\n{script}\n")
            return {"POSTROJ_STATE_DIR": str(state)}

        yield replace


def test_guest_that_ends_while_it_boots(with_as_systemd: Callable[[str], dict[str, str]], postroj: Run) -> None:
    env = with_as_systemd("echo this is no systemd >&2; exit 1")
    told = ("postroj: the machine postroj-debian-bookworm did not come up: ", "| this is no systemd")
    done = postroj("run", "debian-bookworm", "true", env=env, timeout=60)
    assert_told(done, 125, *told)
    assert done.stdout == ""
    done = postroj("pkgprobe", "--image=debian-bookworm", "--check-unit=dbus", env=env, timeout=60)
    assert_no_verdict(done, "debian-bookworm", *told)


def test_guest_that_never_gets_ready(with_as_systemd: Callable[[str], dict[str, str]], postroj: Run) -> None:
    words = ["pkgprobe", "--image=debian-bookworm", "--check-unit=dbus", "--timeout=2"]
    done = postroj(*words, env=with_as_systemd("exec sleep 31414"), timeout=60)
    told = "postroj: the machine postroj-debian-bookworm had not booted within 2 s\n"
    assert_no_verdict(done, "debian-bookworm", told)


def test_timeout_before_there_is_a_verdict(postroj: Run, bookworm: str) -> None:
    """It is up while the machine boots, so nothing can be said about the package."""
    done = postroj("pkgprobe", "--image", bookworm, "--check-unit=dbus", "--timeout=0.05")
    assert_no_verdict(done, bookworm, "0.05 s", "--timeout")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("systemctl poweroff --force --force", "it was shut down or rebooted from inside"),
        ("systemctl reboot --force --force", "it was shut down or rebooted from inside"),
        ("systemctl halt --force --force", "it was shut down or rebooted from inside"),
        ("systemctl kill --signal=KILL dbus.service; sleep 31415", "its D-Bus went away"),
        ("systemctl kill --signal=SEGV init.scope; sleep 31415", "its systemd was killed, or crashed"),
    ],
)
def test_guest_that_goes_away_while_a_command_runs(command: str, reason: str, bookworm: str, postroj: Run) -> None:
    done = postroj("run", bookworm, "sh", "-c", command, timeout=60)
    assert (done.returncode, done.stdout) == (125, "")
    assert f"postroj: the machine postroj-debian-bookworm is lost: {reason}" in done.stderr
    assert "Traceback" not in done.stderr and "org.freedesktop" not in done.stderr


def test_guest_that_is_shut_down_in_good_order_while_a_command_runs(bookworm: str, postroj: Run) -> None:
    """The command is ended by the shutdown, or the guest is gone before that is known; never a success."""
    done = postroj("run", bookworm, "sh", "-c", "systemctl poweroff; sleep 31415", timeout=60)
    assert done.returncode in (125, 128 + 15), done.stderr
    assert "org.freedesktop" not in done.stderr


def test_guest_that_is_killed_from_outside(bookworm: str, environment: dict[str, str]) -> None:
    with started([POSTROJ, "run", bookworm, "sleep", "31416"], environment) as process:
        until(lambda: running("sleep", "31416"), "the command runs")
        os.kill(guest_init(process), 9)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 125
    assert b"postroj: the machine postroj-debian-bookworm is lost: its systemd was killed" in err


@pytest.mark.parametrize("count", [2, 4])
def test_runs_of_one_image_at_the_same_moment(count: int, bookworm: str, environment: dict[str, str]) -> None:
    command = [POSTROJ, "run", bookworm, "sh", "-c", "hostname; cat"]
    pipe = subprocess.PIPE
    runs = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment)
        for _ in range(count)
    ]
    try:
        # The name is read before standard input is closed: all of them run at the same time.
        names = [run.stdout.readline().strip() for run in runs if run.stdout]
        outcomes = [run.communicate("the end", timeout=60) for run in runs]
    finally:
        for run in runs:
            run.kill()
            run.wait()
    expected = ["postroj-debian-bookworm", *(f"postroj-debian-bookworm-{number}" for number in range(2, count + 1))]
    assert sorted(names) == expected
    assert outcomes == [("the end", "")] * count
    assert [run.returncode for run in runs] == [0] * count


def test_name_that_is_taken(bookworm: str, environment: dict[str, str], postroj: Run) -> None:
    with started([POSTROJ, "run", "--name=mine", bookworm, "sh", "-c", "hostname; sleep 31417"], environment) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"mine\n"
        second = postroj("run", "--name=mine", bookworm, "true")
        assert first.poll() is None
        first.terminate()
        first.communicate(timeout=60)
    assert (second.returncode, second.stdout) == (125, "")
    assert second.stderr.startswith("postroj: a machine named mine is running already\n")


def test_many_cycles(bookworm: str, postroj: Run) -> None:
    before, files = Residue.take(), _open_files()
    for _ in range(_CYCLES):
        done = postroj("pkgprobe", f"--image={bookworm}", "--check-unit=systemd-journald")
        assert done.returncode == 0, done.stdout + done.stderr
        assert Residue.left(before) == before
    # A leak in each cycle, in what outlives machines (machined, the host's systemd, its bus), would be as many; and
    # would stay, while a unit that the host's systemd runs at this moment ends.
    until(lambda: _open_files() - files < _CYCLES, "no more files are open than before")


def _open_files() -> int:
    """Count the open files of all processes of this host that do not belong to a machine: at this time, of all."""
    count = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):  # it has ended meanwhile
            count += len(os.listdir(f"/proc/{pid}/fd"))
    return count
