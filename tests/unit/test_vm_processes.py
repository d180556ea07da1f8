"""The processes of a unit of a VM, as the guest's scripts print them: run on this host."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from postroj.vm import processes


def _told(pids: list[int], tmp_path: Path) -> str:
    """Return what the script prints of processes that are in no cgroup of their own."""
    unit = tmp_path / "case.service/child"
    unit.mkdir(parents=True)
    (unit / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
    script = processes.OF_UNIT.replace("/sys/fs/cgroup/system.slice", str(tmp_path))
    return subprocess.run(["sh", "-c", script, "sh", "case.service"], capture_output=True, text=True, check=True).stdout


_STATUS = "/proc/7/status:Name:\tx\n/proc/7/status:State:\tS (sleeping)\n/proc/7/status:PPid:\t1\n"
_LISTENS = """
import socket, sys
one = socket.create_server(("127.0.0.1", 0))
print(one.getsockname()[1], flush=True)
sys.stdin.read()
"""


def test_who_reads_and_who_writes(tmp_path: Path) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            (found,) = processes.of_unit(_told([child.pid], tmp_path), child.pid)
        finally:
            child.kill()
    assert (found.pid, found.name, found.parent, found.is_orphan) == (child.pid, "cat", 0, False)
    assert len(found.reads) == 1 and found.reads.isdisjoint(found.writes)
    assert found.is_sleeping and not found.has_socket and not found.listens


def test_who_listens_and_who_is_an_orphan(tmp_path: Path) -> None:
    words = [sys.executable, "-c", _LISTENS]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout
            port = child.stdout.readline().strip()
            told = _told([child.pid], tmp_path)
        finally:
            child.kill()
    (found,) = processes.of_unit(told, main=1)
    assert found.listens == (f"127.0.0.1:{port}",) and not found.has_socket and found.is_orphan


def test_a_unix_socket_that_listens(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "it listens"))
        one.listen()
        table = Path("/proc/net/unix").read_text()
    told = f"{table}{_STATUS}"
    (found,) = processes.of_unit(told, 7)
    assert found.listens == ()
    inode = next(line.split()[6] for line in table.splitlines() if line.endswith("it listens"))
    (found,) = processes.of_unit(f"{told}/proc/7/fd 700 socket:[{inode}]\n", 7)
    assert found.listens == (str(tmp_path / "it listens"),)


@pytest.mark.parametrize(
    "told",
    ["", "x", "/proc/x/status:State:\tS", _STATUS.replace("S (", "Z ("), _STATUS.replace("\t1", "\tx"),
     "/proc/1/fd 7 /x", "Num \n", "  sl \n"],
)  # fmt: skip
def test_a_guest_that_prints_something_else(told: str) -> None:
    assert processes.of_unit(told, 1) == []
    assert processes.of_guest(told) == []


def test_all_processes_of_a_guest() -> None:
    told = subprocess.run(["sh", "-c", processes.OF_GUEST], capture_output=True, text=True).stdout
    found = {one.pid: one for one in processes.of_guest(told)}
    assert found[os.getpid()].uid == os.geteuid()
    assert found[os.getpid()].name == Path("/proc/self/comm").read_text().strip()


def test_the_unit_of_a_process() -> None:
    group = "/proc/7/cgroup:0::/system.slice/nginx.service/worker\n"
    files = "/proc/7/fd 700 socket:[1001]\n/proc/7/fd 700 socket:[1002]\n"
    thread = _STATUS.replace("/7/", "/8/").replace("\t1\n", "\t2\n")
    (found,) = processes.of_guest(f"{_STATUS}/proc/7/status:Uid:\t33\t34\t33\t33\n{thread}{group}{files}")
    assert (found.pid, found.name, found.uid, found.unit) == (7, "x", 34, "nginx.service")
    assert found.sockets == {1001, 1002}
