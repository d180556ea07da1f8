"""Locks on directories: real ones, between real processes."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from postroj.locks import DirectoryLock, is_held, lock_directory, owner

_HOLD = """
import sys
from postroj.locks import lock_directory
lock = lock_directory(sys.argv[1], create=True)
print("held", flush=True)
sys.stdin.read()
"""


def locked(path: Path, **how: bool) -> DirectoryLock:
    lock = lock_directory(str(path), **how)
    assert lock is not None
    return lock


def waiters(path: Path) -> int:
    """How many wait for a lock on it: the lines with an arrow in /proc/locks, proc(5)."""
    inode = str(path.stat().st_ino)
    lines = Path("/proc/locks").read_text().splitlines()
    return sum("->" in line and line.split()[6].endswith(f":{inode}") for line in lines)


def test_it_excludes_others_until_it_is_released(tmp_path: Path) -> None:
    with locked(tmp_path) as lock:
        assert lock.path == str(tmp_path)
        assert lock_directory(str(tmp_path), wait=False) is None
        assert lock_directory(str(tmp_path), shared=True, wait=False) is None
    locked(tmp_path, wait=False).release()


def test_shared_ones_exclude_exclusive_ones_only(tmp_path: Path) -> None:
    with locked(tmp_path, shared=True), locked(tmp_path, shared=True, wait=False):
        assert lock_directory(str(tmp_path), wait=False) is None
    locked(tmp_path, wait=False).release()


def test_what_is_not_there_is_made_or_not_locked(tmp_path: Path) -> None:
    path = tmp_path / "a/b"
    assert lock_directory(str(path)) is None
    assert not path.exists()
    with locked(path, create=True):
        assert path.is_dir()


@pytest.mark.parametrize("create", [True, False])
def test_a_link_or_a_file_is_not_locked(tmp_path: Path, create: bool) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        with pytest.raises(OSError):
            lock_directory(str(tmp_path / name), create=create)


def test_it_is_released_on_the_way_out_of_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), locked(tmp_path):
        raise KeyboardInterrupt
    locked(tmp_path, wait=False).release()


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with locked(tmp_path):
        for _ in range(10):
            assert lock_directory(str(tmp_path), wait=False) is None
    assert lock_directory(str(tmp_path / "nothing")) is None
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_killed_owner_leaves_no_lock(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        assert lock_directory(str(tmp_path), wait=False) is None
        holder.kill()
        holder.wait()
        locked(tmp_path, wait=False).release()


@pytest.mark.parametrize("again", [True, False], ids=["made anew", "gone for good"])
@pytest.mark.parametrize("create", [True, False])
def test_a_directory_that_is_removed_while_its_lock_is_waited_for(tmp_path: Path, create: bool, again: bool) -> None:
    path = tmp_path / "a"
    first = locked(path, create=True)
    got: list[DirectoryLock | None] = []
    thread = threading.Thread(target=lambda: got.append(lock_directory(str(path), create=create)))
    thread.start()
    while waiters(path) == 0:  # the kernel says when it waits; nothing else can
        thread.join(0.001)
    path.rmdir()
    if again:
        path.mkdir()
    first.release()
    thread.join(10)
    (lock,) = got
    if not create and not again:
        assert lock is None
        return
    assert lock is not None
    assert lock_directory(str(path), wait=False) is None, "the lock counts for what is there now"
    lock.release()


def test_many_that_make_and_remove_it_at_once_find_no_error(tmp_path: Path) -> None:
    path = str(tmp_path / "x")
    errors: list[OSError] = []

    def make_and_remove() -> None:
        for _ in range(300):
            try:
                with locked(Path(path), create=True):
                    os.rmdir(path)
            except OSError as error:
                errors.append(error)

    threads = [threading.Thread(target=make_and_remove) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


@pytest.mark.parametrize("shared", [False, True])
def test_a_lock_is_seen_without_taking_it(tmp_path: Path, shared: bool) -> None:
    assert not owner(str(tmp_path))
    with locked(tmp_path, shared=shared):
        assert owner(str(tmp_path)) > 0
        assert not owner(str(tmp_path.parent)) and not owner(str(tmp_path / "nothing"))
    assert not owner(str(tmp_path))


def test_a_lock_whose_owner_is_not_known(tmp_path: Path) -> None:
    """As in a PID namespace, where the kernel tells only of locks whose first owner lives in it."""
    assert not is_held(str(tmp_path)) and not is_held(str(tmp_path / "nothing"))
    with locked(tmp_path):
        assert is_held(str(tmp_path))
    with locked(tmp_path, shared=True):
        assert not is_held(str(tmp_path))
    assert not is_held(str(tmp_path))
