"""What a guest of a VM is asked, and what comes of its answers: asked of this host, or of scripts."""

import os
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from postroj import events
from postroj.contract import Listener
from postroj.deadline import NEVER, Deadline
from postroj.errors import DeadlineError, GuestSetupError, HostError, MachineLostError, RebootError
from postroj.streams import Streams
from postroj.vm import commands, guest, listing
from postroj.vm.machine import VirtualMachine
from postroj.vm.ssh import Login


class _Here:
    """A connection whose guest is this host; with a script, that runs whatever is asked."""

    def __init__(self, script: str = "") -> None:
        self.script = script
        self.asked: list[Sequence[str]] = []
        self.is_closed = False

    def argv(self, words: Sequence[str]) -> list[str]:
        self.asked.append(words)
        return ["sh", "-c", self.script, "sh", *words] if self.script else list(words)

    def path_of(self, path: str) -> str:
        return f"/nowhere{path}"

    def is_lost(self, status: int) -> bool:
        return False

    def has_ended(self) -> bool:
        return False

    def wait_end(self, deadline: Deadline) -> None:
        pass

    def said(self) -> str:
        return ""

    def close(self) -> None:
        self.is_closed = True


class _Power:
    how = ""

    def ended(self) -> str:
        return self.how

    def save(self, number: int, *, deadline: Deadline) -> None:
        pass

    def restore(self, number: int, *, deadline: Deadline) -> None:
        pass


class _Vm(VirtualMachine):
    """A VM whose guest is this host, without a bus."""

    def __init__(self, path: Path, script: str = "", *, brought: Sequence[tuple[str, str]] = ()) -> None:
        (path / "known_hosts").write_text("guest ssh-ed25519 AAAA\n")
        login = Login("192.0.2.1", 22, "key", str(path / "known_hosts"), str(path / "ssh"))
        self.power = _Power()
        super().__init__("image-1", login, self.power, brought=brought)
        self.here: Any = _Here(script)
        self._connection: Any = self.here

    def _opened(self, deadline: Deadline) -> Any:
        return self.here

    def _attend(self) -> None:
        """Do not."""

    def _begin_reboot(self) -> None:
        """Do not."""


@contextmanager
def _warnings() -> Iterator[list[str]]:
    found: list[str] = []

    def listen(event: events.Event) -> None:
        if isinstance(event, events.Warn):
            found.append(event.text)

    with events.subscribed(listen):
        yield found


def test_an_answer_without_end(tmp_path: Path) -> None:
    """No more is read than can be of use, and nobody waits for the end of the rest."""
    told = _Vm(tmp_path, "yes")._asked(["x"], most=1000)
    assert (len(told.output), told.is_cut) == (1000, True)
    told = _Vm(tmp_path, "echo one; exit 3")._asked(["x"], most=4)
    assert (told.output, told.status, told.is_cut) == (b"one\n", 3, False)


def test_a_list_of_files_that_is_not_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it lacks would seem to be removed."""
    whole = "printf 'f 644 0 0 1 1.0 \\0/usr/a\\0f 644 0 0 1 1.0 \\0/usr/b\\0\\n'"
    machine = _Vm(tmp_path, whole)
    with machine:
        assert machine.capabilities.changes and machine.changes().files == {}
        machine.here.script = "printf 'f 644 0 0 1 1.0 \\0/usr/a\\0'; exit 1"
        with pytest.raises(HostError, match="find ended with status 1"):
            machine.changes()
        machine.here.script = whole
        monkeypatch.setattr(listing, "MOST_BYTES", 30)
        with pytest.raises(HostError, match="has more than"):
            machine.changes()


@pytest.mark.parametrize(
    ("how", "boot", "told"),
    [
        ("it was shut down from inside", "1", "is lost: it was shut down from inside"),
        ("", "2", "is lost: it was rebooted from inside"),
        ("", "1", "is lost: it does not answer"),
    ],
)
def test_how_a_machine_was_lost(
    how: str, boot: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = _Vm(tmp_path, "echo")
    with machine:
        machine._boot, machine.power.how = "1", how
        monkeypatch.setattr(machine, "_attend", lambda: setattr(machine, "_boot", boot))
        monkeypatch.setattr(machine.here, "is_lost", lambda status: True)
        monkeypatch.setattr("postroj.vm.machine._BACK_SECONDS", 0.3)
        with pytest.raises(MachineLostError, match=told) as error, machine._explained():
            machine._asked(["x"])
        assert error.value.by_guest is (told != "is lost: it does not answer")


_UNLISTED = (
    "what is changed on its disk is not looked at: the files of image-1 cannot be listed: find ended with status 1"
)


def test_a_vm_whose_files_cannot_be_listed_is_started(tmp_path: Path) -> None:
    with _warnings() as warned, _Vm(tmp_path, "echo; exit 1") as machine:
        assert not machine.capabilities.changes
    assert warned == [_UNLISTED]
    assert not (tmp_path / "files").exists()


def test_the_status_of_the_list_is_that_of_find(tmp_path: Path) -> None:
    """Not that of sha256sum: a file whose bytes are not known is compared by its times."""
    for failing, status in (("%y", 1), ("sha256sum", 0)):
        find = f'find() {{ case "$*" in *{failing}*) return 1 ;; esac; }}'
        assert _Vm(tmp_path, f"{find}\n{listing.SCRIPT}")._asked(["x"]).status == status


@pytest.mark.parametrize("failing", ["bus", "files"])
def test_a_vm_that_cannot_be_entered_is_hung_up(failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if failing == "bus":
        monkeypatch.setattr(_Vm, "_attend", VirtualMachine._attend)
    machine = _Vm(tmp_path, "echo", brought=[] if failing == "bus" else [("/nowhere/file", "/x")])
    with pytest.raises((MachineLostError, OSError)), machine:
        raise AssertionError("it was entered")
    assert machine.here.is_closed and machine._connection is None


@pytest.mark.parametrize(
    ("told", "knows_uptime", "sets"),
    [
        ("12.5 1000.25 a-b", True, True), ("12.5 1000.%N a-b", True, False), ("12.5 %s.%N a-b", True, False),
        ("x 1000 a-b", False, True), ("nan inf a-b", False, False), ("1e999 nan a-b", False, False),
        ("12.5", False, False), ("12.5 1000.25", False, False), ("", False, False), ("1 2 3 4", False, False),
    ],
)  # fmt: skip
def test_clocks_of_a_guest(told: str, knows_uptime: bool, sets: bool, tmp_path: Path) -> None:
    machine = _Vm(tmp_path, f"echo '{told}'")
    began = time.monotonic()
    machine._set_clock()
    assert (machine._ahead != 0.0) is knows_uptime
    assert not knows_uptime or machine._ahead <= 12.5 - began
    assert [words[0] for words in machine.here.asked] == ["sh", *(["date"] if sets else [])]


_OF_MACHINE = "Out of memory: Killed process 7 (x) total-vm:1kB"
_OF_OLD_KERNEL = "Out of memory: Kill process 7 (x) score 900 or sacrifice child"
_OF_UNIT = "Memory cgroup out of memory: Killed process 8 (y) total-vm:1kB"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's log, as dmesg(1) prints it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "dmesg").write_text(f'#!/bin/sh\n[ "$*" = --kernel ] && cat {shlex.quote(str(tmp_path))}/log\n')
    (programs / "dmesg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return tmp_path / "log"


def test_the_out_of_memory_killer(log: Path, tmp_path: Path) -> None:
    """One that ends a process for a limit in the guest, as MemoryMax= is, would do so on any machine."""
    machine = _Vm(tmp_path)
    assert machine.out_of_memory() == 0
    log.write_text(f"[1.0] {_OF_UNIT}\n[2.0] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null)\n")
    assert machine.out_of_memory() == 0
    log.write_text(f"[1.0] {_OF_UNIT}\n[2.0] {_OF_MACHINE}\n[3.0] {_OF_OLD_KERNEL}\n")
    assert machine.out_of_memory() == 2


def test_the_out_of_memory_killer_and_a_boot(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's log is lost with a reboot, and is an earlier one after a restore."""
    machine = _Vm(tmp_path)
    boots = iter(("one", "two"))
    monkeypatch.setattr(machine, "_boot_id", lambda: next(boots))

    def begin_reboot() -> None:
        log.write_text("")

    monkeypatch.setattr(machine, "_begin_reboot", begin_reboot)
    log.write_text(_OF_MACHINE)
    machine.reboot(deadline=NEVER)
    assert machine.out_of_memory() == 1
    log.write_text(_OF_MACHINE)
    assert machine.out_of_memory() == 2
    machine.restore(0, deadline=NEVER)
    assert machine.out_of_memory() == 2


@pytest.mark.parametrize("told", ["", "x", "9" * 5000, "-1", "x y"])
def test_a_guest_that_tells_no_numbers(told: str, tmp_path: Path) -> None:
    machine = _Vm(tmp_path, f"echo '{told}'")
    assert (machine.out_of_memory(), machine.free_bytes(), machine.listeners()) == (0, 0, [])


def test_what_each_vm_listens_on_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = _Vm(tmp_path)
    there = [("0.0.0.0", 22), ("::", 22), ("0.0.0.0", 5355), ("127.0.0.53", 53), ("127.0.0.1", 53), ("0.0.0.0", 8080)]
    monkeypatch.setattr(machine, "listeners", lambda: [Listener("tcp", *one, 0) for one in there])
    assert machine.listening_sockets() == ["0.0.0.0:8080", "127.0.0.1:53"]


def test_how_long_a_reboot_may_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the time that a guest has for an answer that counts."""
    machine = _Vm(tmp_path)
    given: list[float] = []

    def opened(deadline: Deadline) -> Any:
        given.append(deadline.remaining() or 0)
        return machine.here

    boots = iter(("one", "two"))
    monkeypatch.setattr(machine, "_boot_id", lambda: next(boots))
    monkeypatch.setattr(machine, "_opened", opened)
    machine.reboot(deadline=Deadline(1000))
    assert given[0] > guest._CONNECT_SECONDS


def test_a_reboot_that_is_not_over_in_time(tmp_path: Path) -> None:
    """The error tells whose limit it was: if it was that of the whole run, the machine is not blamed."""
    machine = _Vm(tmp_path)
    with pytest.raises(RebootError, match="did not boot again within 600 s"):
        machine.reboot(deadline=Deadline(0))
    machine = _Vm(tmp_path)
    machine.deadline = Deadline(0)
    with pytest.raises(DeadlineError, match="had not rebooted within 0 s"):
        machine.reboot(deadline=Deadline(0))


def test_a_user_that_the_guest_does_not_have() -> None:
    """systemd-run would end with 1, which is a status of commands as well."""
    commands._check_user(cast(Any, _Here()), "root", "x")
    commands._check_user(cast(Any, _Here()), "0", "x")
    for user in ("no-such-user", "-n", "", "$(echo root)"):
        started = commands.started(cast(Any, _Here()), cast(Any, None), ["true"], Streams(), user=user)
        with pytest.raises(GuestSetupError, match="the guest cannot run `true` as the user"), started:
            raise AssertionError("it was started")
