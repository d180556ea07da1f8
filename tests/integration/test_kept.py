"""Machines that stay when their probe has ended: entered, stopped, expired, killed; nothing of them is ever left."""

import json
import os
import random
import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import Signals

import pytest

import debs
from guests import guest
from keeping import RUNTIME, Keep, gone, keeper, kept, record
from moments import deliver, running, started, until
from residue import Residue
from support import POSTROJ, Run

_CHECK = "--check-unit=systemd-journald"
_SEED = os.environ.get("POSTROJ_TEST_SEED") or str(random.SystemRandom().randrange(10**6))
_IN_GUEST = "31517"
_NAME = "postroj-debian-bookworm"


@pytest.fixture
def keep(postroj: Run, bookworm: str) -> Iterator[Keep]:
    """Machines that are kept, of the image that most tests boot; removed after the test."""
    keeping = Keep(postroj, bookworm)
    yield keeping
    keeping.clean()


def test_a_kept_machine_is_listed_entered_and_stopped(keep: Keep, postroj: Run, bookworm: str) -> None:
    machine = keep(_CHECK)
    assert machine.status == 0 and machine.out.endswith("s\n") and "PASSED" in machine.out
    assert machine.err.endswith(f"enter it: postroj shell {machine.name}; remove it: postroj stop {machine.name}\n")

    (row,) = [row for row in json.loads(postroj("ps", "--format=json").stdout) if row["name"] == machine.name]
    assert (row["image"], row["reason"]) == (bookworm, "it has passed")
    assert row["since"] < row["until"]
    plain = postroj("ps").stdout.splitlines()
    assert [line.split("\t")[0] for line in plain if line.endswith("\tit has passed\tcontainer")] == [machine.name]
    assert postroj("ps", "--quiet").stdout.splitlines() == [line.split("\t")[0] for line in plain]

    done = postroj("exec", machine.name, "sh", "-c", "echo $0; hostname; echo error >&2; exit 7", "zero")
    assert (done.returncode, done.stdout, done.stderr) == (7, f"zero\n{machine.name}\n", "error\n")
    done = postroj(
        "exec", "-w", "/usr", "-u", "nobody", "-e", "A=b c", machine.name, "sh", "-c", "id -un; pwd; echo $A"
    )
    assert done.stdout == "nobody\n/usr\nb c\n", done.stderr
    assert postroj("exec", machine.name, "cat", input="given\n").stdout == "given\n"

    done = postroj("stop", machine.name)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{machine.name}\n", "")
    assert not Path(RUNTIME, machine.name).exists()
    done = postroj("exec", machine.name, "true")
    assert done.returncode == 125 and done.stderr.startswith(f"postroj: no machine named {machine.name} is running\n")


@pytest.mark.once
def test_on_failure_only(keep: Keep, postroj: Run, bookworm: str) -> None:
    done = postroj("pkgprobe", "--keep=failure", f"--image={bookworm}", _CHECK)
    assert (done.returncode, done.stderr) == (0, "")
    assert not RUNTIME.exists() or not list(RUNTIME.glob(f"{_NAME}*"))
    machine = keep("--check-unit=nothing", how="--keep=failure", status=1)
    assert machine.status == 1 and machine.out.startswith("FAILED")
    assert record(machine.name)["reason"] == "not passed: unit nothing.service"
    assert postroj("stop", machine.name).returncode == 0


@pytest.mark.once
def test_an_installation_that_fails_is_looked_into(keep: Keep, postroj: Run, tmp_path: Path) -> None:
    package = debs.build(tmp_path, "broken", postinst="touch /was-here; exit 3")
    machine = keep(f"--package={package}", how="--keep=failure", status=1)
    assert machine.status == 1
    assert postroj("exec", machine.name, "cat", "/was-here").returncode == 0
    assert postroj("exec", machine.name, "dpkg-query", "-Wf${Status}", "broken").stdout == "install ok half-configured"
    assert postroj("stop", machine.name).returncode == 0


@pytest.mark.once
def test_nothing_of_the_callers_is_held(bookworm: str, environment: dict[str, str], tmp_path: Path) -> None:
    """Neither its streams, nor its directory, nor a lock: a descriptor that it has passed on without a word."""
    lock = os.open(tmp_path, os.O_RDONLY)
    words = [POSTROJ, "pkgprobe", "--keep", f"--image={bookworm}", _CHECK]
    done = subprocess.run(
        words, capture_output=True, text=True, env=environment, cwd=tmp_path, pass_fds=[lock], timeout=60
    )  # it would wait for the end of the streams
    machine = kept(done.returncode, done.stdout, done.stderr)
    files = [os.readlink(link) for link in Path(f"/proc/{machine.keeper}/fd").iterdir()]
    assert not [file for file in files if file.startswith(str(tmp_path))]
    assert os.readlink(f"/proc/{machine.keeper}/cwd") == "/"
    assert os.getsid(machine.keeper) == machine.keeper
    os.close(lock)
    subprocess.run([POSTROJ, "stop", machine.name], env=environment, check=True, capture_output=True)


@pytest.mark.once
def test_its_time_is_up(keep: Keep) -> None:
    machine = keep(_CHECK, "--keep-for=1s")
    gone(machine.name)


@pytest.mark.once
def test_a_guest_that_powers_itself_off_is_removed(keep: Keep, postroj: Run) -> None:
    machine = keep(_CHECK)
    postroj("exec", machine.name, "systemctl", "poweroff")
    gone(machine.name)


def test_a_guest_that_reboots_is_there_again(keep: Keep, postroj: Run) -> None:
    machine = keep(_CHECK)
    leader = machine.leader
    boot = "cat /proc/self/cgroup >/dev/null; systemctl show --property=UserspaceTimestampMonotonic"
    before = postroj("exec", machine.name, "sh", "-c", f"touch /kept; {boot}").stdout
    postroj("exec", machine.name, "systemctl", "reboot")
    until(lambda: machine.leader != leader, "it has booted again")
    done = postroj("exec", machine.name, "sh", "-c", f"test -e /kept && {boot}")
    assert done.returncode == 0 and done.stdout != before, done.stderr
    (row,) = [row for row in json.loads(postroj("ps", "--format=json").stdout) if row["name"] == machine.name]
    assert row["reason"] == "it has passed"
    assert postroj("stop", machine.name).returncode == 0


def test_the_keeper_is_killed(keep: Keep, postroj: Run) -> None:
    before = Residue.take()
    machine = keep(_CHECK)
    os.kill(machine.keeper, signal.SIGKILL)
    assert Residue.settled_by_kernel(before.by_kernel()) == before.by_kernel()
    done = postroj("exec", machine.name, "true")
    assert done.returncode == 125 and f"no machine named {machine.name} is running" in done.stderr
    assert machine.name not in postroj("ps", "--quiet").stdout.split()
    assert Residue.settled(before) == before


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package whose installation does not end."""
    return debs.build(tmp_path_factory.mktemp("slow"), "slow", postinst=f"exec sleep {_IN_GUEST}")


@pytest.mark.parametrize("signum", [Signals.SIGINT, Signals.SIGTERM, Signals.SIGKILL], ids=lambda signum: signum.name)
def test_the_parent_is_ended_before_the_hand_over(
    postroj: Run, bookworm: str, environment: dict[str, str], slow: Path, signum: Signals
) -> None:
    before = Residue.take()
    words = [POSTROJ, "pkgprobe", "--keep", f"--image={bookworm}", f"--package={slow}"]
    with started(words, environment) as process:
        until(lambda: running("sleep", _IN_GUEST), "the package is being installed")
        deliver(process, signum)
        process.communicate(timeout=60)
        assert process.returncode == (-signum if signum is Signals.SIGKILL else 128 + signum)
    assert Residue.settled(before) == before


@pytest.mark.once
def test_the_parent_is_killed_during_the_hand_over(bookworm: str, environment: dict[str, str]) -> None:
    """It is stopped before, so that it cannot accept the machine; then nobody knows of it."""
    before = Residue.take()
    with started([POSTROJ, "pkgprobe", "--keep", f"--image={bookworm}", _CHECK], environment) as process:
        (directory,) = until(lambda: list(RUNTIME.glob(f"{_NAME}*")), "the machine has its directory")
        process.send_signal(signal.SIGSTOP)
        until(lambda: _reason(directory.name), "the machine is kept")
        process.kill()
    assert Residue.settled(before) == before


@pytest.mark.once
def test_the_child_is_killed_before_the_hand_over(bookworm: str, environment: dict[str, str], slow: Path) -> None:
    words = [POSTROJ, "pkgprobe", "--keep", f"--image={bookworm}", f"--package={slow}"]
    before = Residue.take()
    with started(words, environment) as process:
        until(lambda: running("sleep", _IN_GUEST), "the package is being installed")
        os.kill(keeper(_NAME), signal.SIGKILL)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 3
        assert b"the process that ran the machine was killed from outside (SIGKILL)" in err
    subprocess.run([POSTROJ, "gc"], env=environment, check=True, capture_output=True)
    assert Residue.settled(before) == before


def _reason(name: str) -> str:
    try:
        return record(name)["reason"]
    except FileNotFoundError:
        return ""


def test_twenty_at_once_half_of_them_killed(keep: Keep, postroj: Run) -> None:
    before = Residue.take()
    chosen = random.Random(_SEED)
    with ThreadPoolExecutor(20) as pool:
        machines = list(pool.map(lambda _: keep(_CHECK), range(20)))
        assert len({machine.name for machine in machines}) == 20
        victims = chosen.sample(machines, 10)
        others = [machine for machine in machines if machine not in victims]

        def kill(number: int) -> None:
            pid = victims[number].keeper if number % 2 else victims[number].leader
            os.kill(pid, signal.SIGKILL)

        ended = pool.map(kill, range(10))
        answers = list(pool.map(lambda one: postroj("exec", one.name, "hostname"), others))
        list(ended)
    assert [done.stdout for done in answers] == [f"{one.name}\n" for one in others], [done.stderr for done in answers]
    until(
        lambda: set(postroj("ps", "--quiet").stdout.split()) == {one.name for one in others},
        f"the killed ones are gone (seed {_SEED})",
    )
    done = postroj("stop", *(one.name for one in others))
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.split()) == sorted(one.name for one in others)
    assert Residue.settled(before) == before


def test_a_run_in_another_terminal_is_stopped(postroj: Run, bookworm: str, environment: dict[str, str]) -> None:
    with guest(environment, "--name=other", bookworm) as other:
        assert postroj("exec", "other", "hostname").stdout == "other\n"
        assert postroj("stop", "other").stdout == "other\n"
        assert other.process.wait(60) == 128 + signal.SIGTERM


_PROGRAM = """
import postroj
try:
    with postroj.machine("debian-bookworm", name="of-python") as machine:
        print("booted", flush=True)
        input()
        machine.command(["true"])
except postroj.MachineLostError:
    print("lost")
print("goes on")
"""


@pytest.mark.once
def test_a_program_loses_its_machine_and_goes_on(postroj: Run, environment: dict[str, str], bookworm: str) -> None:
    python = str(Path(POSTROJ).parent / "python")
    with started([python, "-c", _PROGRAM], environment, stdin=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"booted\n"
        stopping = subprocess.Popen([POSTROJ, "stop", "of-python"], env=environment, stdout=subprocess.PIPE)
        with stopping:
            leader = int(record("of-python")["leader"])
            until(lambda: not Path(f"/proc/{leader}").exists(), "its guest is gone")
            out, err = process.communicate(b"\n", timeout=60)
            assert (out, err) == (b"lost\ngoes on\n", b"")
            assert stopping.wait(60) == 0


@pytest.mark.once
def test_a_machine_that_has_not_booted(postroj: Run, environment: dict[str, str], bookworm: str) -> None:
    words = [POSTROJ, "run", "--no-boot", "--name=unbooted", bookworm, "sleep", _IN_GUEST]
    with started(words, environment) as process:
        until(lambda: running("sleep", _IN_GUEST), "the command runs")
        for command in ("exec", "shell", "logs"):
            done = postroj(command, "unbooted", *(["true"] if command == "exec" else []))
            assert done.returncode != 0
        done = postroj("exec", "unbooted", "true")
        assert done.stderr.startswith("postroj: the machine unbooted has not booted\n")
        assert "unbooted" in postroj("ps", "--quiet").stdout.split()
        assert postroj("stop", "unbooted").returncode == 0
        assert process.wait(60) == 128 + signal.SIGTERM


@pytest.mark.once
def test_a_guest_that_is_gone_while_its_owner_hangs(keep: Keep, postroj: Run) -> None:
    """Its record is there, and the lock is held, but no process of it: one sentence says so."""
    machine = keep(_CHECK)
    pid, leader = machine.keeper, machine.leader
    os.kill(pid, signal.SIGSTOP)
    os.kill(leader, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{leader}/root/etc").exists(), "its guest is gone")
    done = postroj("exec", machine.name, "true")
    assert (done.returncode, done.stdout) == (125, "")
    assert re.fullmatch(
        rf"postroj: the machine {machine.name} cannot be entered: it is rebooting, or .*\n", done.stderr
    )
    os.kill(pid, signal.SIGCONT)
    gone(machine.name)


@pytest.mark.once
def test_a_command_is_told_that_its_machine_has_ended(keep: Keep, postroj: Run, environment: dict[str, str]) -> None:
    machine = keep(_CHECK)
    with started([POSTROJ, "exec", machine.name, "sleep", _IN_GUEST], environment) as process:
        until(lambda: running("sleep", _IN_GUEST), "the command runs")
        assert postroj("stop", machine.name).returncode == 0
        _, err = process.communicate(timeout=60)
        assert process.returncode == 125
        assert err.startswith(f"postroj: the machine {machine.name} is lost: ".encode())


@pytest.mark.once
@pytest.mark.parametrize("signum", [Signals.SIGINT, Signals.SIGTERM], ids=lambda signum: signum.name)
def test_a_command_ends_with_its_exec(keep: Keep, postroj: Run, environment: dict[str, str], signum: Signals) -> None:
    machine = keep(_CHECK)
    with started([POSTROJ, "exec", machine.name, "sleep", _IN_GUEST], environment) as process:
        until(lambda: running("sleep", _IN_GUEST), "the command runs")
        deliver(process, signum)
        assert process.wait(60) == 128 + signum
    until(lambda: not running("sleep", _IN_GUEST), "the command has ended")
    assert postroj("exec", machine.name, "systemctl", "is-system-running").stdout == "running\n"
    assert postroj("stop", machine.name).returncode == 0


@pytest.mark.once
def test_commands_at_the_same_time(keep: Keep, postroj: Run) -> None:
    """Each is a unit of its own, though all are the first of their process."""
    machine = keep(_CHECK)
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda n: postroj("exec", machine.name, "sh", "-c", "echo $0", str(n)), range(16)))
    assert [one.stdout for one in done] == [f"{n}\n" for n in range(16)], [one.stderr for one in done]
    assert postroj("stop", machine.name).returncode == 0


@pytest.mark.once
def test_the_journal(keep: Keep, postroj: Run, environment: dict[str, str]) -> None:
    machine = keep(_CHECK)
    postroj("exec", machine.name, "systemd-run", "--unit=speaker", "--wait", "echo", "here it is")
    done = postroj("logs", "-u", "speaker", machine.name)
    assert done.returncode == 0 and "here it is" in done.stdout and "journald" not in done.stdout
    assert not done.stderr  # it is gone, and has logged something
    done = postroj("logs", "-u", "sshd", "-u", "systemd-jurnald", machine.name)
    assert (done.returncode, done.stdout) == (0, "")
    assert "the unit sshd.service does not exist" in done.stderr
    assert "systemd-jurnald.service does not exist, and has logged nothing" in done.stderr
    assert "did you mean systemd-journald.service?" in done.stderr
    assert len(postroj("logs", "-n", "2", machine.name).stdout.splitlines()) == 2
    with started([POSTROJ, "logs", "--follow", "--tail=0", machine.name], environment) as process:
        until(lambda: running("journalctl", "--no-pager"), "the journal is followed")
        assert process.stdout
        postroj("exec", machine.name, "sh", "-c", "echo later | systemd-cat")
        while line := process.stdout.readline():
            if line.endswith(b": later\n"):
                break
        deliver(process, Signals.SIGINT)
        assert process.wait(60) == 130
    assert postroj("stop", machine.name).returncode == 0


@pytest.mark.once
def test_what_is_stopped_has_to_be_said(keep: Keep, postroj: Run) -> None:
    assert postroj("stop").returncode == 2
    assert postroj("stop", "--all", "x").returncode == 2
    assert postroj("stop", "../x").returncode == 2
    names = [keep(_CHECK).name for _ in range(2)]
    done = postroj("stop", names[0], "no-such")
    assert (done.returncode, done.stdout) == (2, f"{names[0]}\n") and "no machine named no-such" in done.stderr
    assert postroj("stop", "--all").stdout == f"{names[1]}\n"
    assert (postroj("stop", "--all").returncode, postroj("ps").stdout) == (0, "")
