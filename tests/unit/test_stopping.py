"""How the owner of a VM is told to end: real locks, held by real processes."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from postroj import locks
from postroj.cli import entering
from postroj.container import stopping
from postroj.settings import vms_dir

_HOLD = """
import signal, sys
from postroj.locks import lock_directory
held = [lock_directory(path, create=True) for path in sys.argv[2:]]
if sys.argv[1] == "handles":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(99))
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def _holder(how: str, *paths: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that has locked directories, and either handles SIGTERM or does not; it ends with the block."""
    words = [sys.executable, "-c", _HOLD, how, *map(str, paths)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process


def _status(process: "subprocess.Popen[str]") -> int:
    """Return the exit status of a process whose standard input has ended."""
    process.communicate()
    return process.returncode


def test_an_owner_that_handles_sigterm_ends(tmp_path: Path) -> None:
    vm = tmp_path / "vm"
    with _holder("handles", vm) as process:
        ending = stopping.begin_vm("vm", str(vm), pytest.fail, [str(vm)])
        assert ending and ending.owner == process.pid
        assert process.wait() == 99
        assert stopping.finish([ending]) == []


@pytest.mark.parametrize(("how", "others"), [("does not", []), ("handles", ["other"])])
def test_a_program_loses_its_vm_and_goes_on(tmp_path: Path, how: str, others: list[str]) -> None:
    """It does not handle SIGTERM, or it has another machine."""
    paths = [tmp_path / name for name in ("vm", *others)]
    powered_off = []
    with _holder(how, *paths) as process:
        ending = stopping.begin_vm("vm", str(paths[0]), lambda: powered_off.append("vm"), list(map(str, paths)))
        assert ending and stopping.finish([ending]) == []  # it has its lock still
        assert _status(process) == 0
    assert powered_off == ["vm"]


def test_a_pid_that_is_anothers_by_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel lists the lock of a guard as that of the postroj that has died, whose PID can be another's."""
    with _holder("handles", tmp_path / "other") as stranger:
        monkeypatch.setattr(locks, "owner", lambda path: stranger.pid)
        assert stopping.begin_vm("vm", str(tmp_path), pytest.fail) is None
        assert _status(stranger) == 0


def test_an_owner_that_is_another_one_by_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vm = tmp_path / "vm"
    with _holder("handles", tmp_path / "other") as before, _holder("handles", vm) as process:
        first, owner = [before.pid], locks.owner
        monkeypatch.setattr(locks, "owner", lambda path: first.pop() if first else owner(path))
        ending = stopping.begin_vm("vm", str(vm), pytest.fail)
        assert ending and ending.owner == process.pid
        assert process.wait() == 99
        assert _status(before) == 0
        assert stopping.finish([ending]) == []


def test_nobody_uses_it(tmp_path: Path) -> None:
    assert stopping.begin_vm("vm", str(tmp_path), pytest.fail) is None
    assert stopping.begin_vm("vm", str(tmp_path / "no"), pytest.fail) is None
    child = subprocess.Popen(["true"])
    child.wait()
    assert not stopping._has_open(child.pid, str(tmp_path))


def test_a_vm_that_is_being_made_is_known(tmp_path: Path) -> None:
    """Nothing is in its directory yet; the Linux VM of hosts that have none is no machine that a command enters."""
    assert entering.vms_in_use() == []
    vm = Path(vms_dir(), "debian-bookworm-1")
    with _holder("handles", vm, vm.parent / "linux-host") as process:
        assert entering.vms_in_use() == ["debian-bookworm-1"]
        assert entering.directory_of_vm(vm.name) == str(vm)
        assert entering.directory_of_vm("linux-host") == entering.directory_of_vm(".boxes") == ""
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 99
    assert entering.vms_in_use() == []
