"""The cgroups of machines: `postroj/NAME` below the root of the cgroup2 hierarchy, by directory descriptor.

On a cgroup v1 host cgroup2 is there as well, mounted beside (hybrid) or not at all: then it is mounted detached, for
this process alone.
"""

import errno
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from postroj import locks
from postroj.container import kernel
from postroj.deadline import Deadline
from postroj.errors import HostError

PARENT = "postroj"
_KILL_SECONDS = 10.0
_PAUSE_SECONDS = 0.01
# The directory of a cgroup, and what is still open of one, after it was removed.
_GONE = (errno.ENOENT, errno.ENODEV)
_CONTROLLERS = {"memory", "cpu", "pids"}
_MAX_DEPTH = "32"
_MAX_DESCENDANTS = "5000"


def is_unified() -> bool:
    """Whether /sys/fs/cgroup is cgroup2 itself."""
    return mount_point() == "/sys/fs/cgroup"


def own_mount() -> int | None:
    """Return a mount of cgroup2 that nobody sees yet, for where it is not at /sys/fs/cgroup; None where it is."""
    there = mount_point()
    if there == "/sys/fs/cgroup":
        return None
    if there and not os.statvfs(there).f_flag & os.ST_RDONLY:
        # A new one has the kernel wait for a grace period of RCU: 5 to 20 ms.
        with suppress(OSError):  # it may be unbindable: mount(8)
            return kernel.clone_mount(there)
    return _new_mount()


def controllers() -> set[str]:
    """Those that cgroup2 has for a machine."""
    with _root() as root:
        return _controllers(root, ".")


def create(name: str) -> tuple[str, locks.DirectoryLock]:
    """Make a machine's cgroup; return its path below the cgroup2 root, and the lock that says that it is owned.

    Raises FileExistsError.
    """
    with _root() as root:
        while True:
            with suppress(FileExistsError):
                os.mkdir(PARENT, dir_fd=root)
            # The last machine that ends removes the parent; it may do so right now.
            with suppress(FileNotFoundError):
                _hand_down(root, ".")
                _hand_down(root, PARENT)
                os.mkdir(f"{PARENT}/{name}", dir_fd=root)
                # Empty as it still is, it may be taken for a killed machine's, and be gone again.
                if lock := _lock(root, name):
                    return f"{PARENT}/{name}", lock


def enter(path: str, pid: int) -> None:
    """Put a process into a cgroup, by its path below the cgroup2 root."""
    write(path, "cgroup.procs", str(pid))


def bound(path: str) -> None:
    """A guest that nests cgroups without end would make them impossible to remove."""
    write(path, "cgroup.max.depth", _MAX_DEPTH)
    write(path, "cgroup.max.descendants", _MAX_DESCENDANTS)


def write(path: str, file: str, text: str) -> None:
    """Write to a file of a cgroup. Raises OSError."""
    with _root() as root:
        _write(root, f"{path}/{file}", text)


def of(pid: int) -> str:
    """The path of a process's cgroup below the cgroup2 root."""
    with open(f"/proc/{pid}/cgroup") as file:
        return next(line.rstrip("\n").removeprefix("0::/") for line in file if line.startswith("0::/"))


def pids(path: str) -> list[int]:
    """Return the processes in a cgroup and in all below it; none if it is gone."""
    try:
        with _root() as root:
            group = os.open(path, os.O_RDONLY | os.O_DIRECTORY, dir_fd=root)
            try:
                return list(_pids(group))
            finally:
                os.close(group)
    except FileNotFoundError:
        return []


@contextmanager
def debris(name: str) -> Iterator[bool]:
    """Whether a machine's cgroup is nobody's inside the block: not there, or without a living owner.

    The owner may be a postroj with a /run of its own, whose other locks cannot be seen.
    """
    with _root() as root:
        lock = _lock(root, name)
        try:
            yield lock is not None or not _exists(root, name)
        finally:
            if lock:
                lock.release()


def _lock(root: int, name: str) -> locks.DirectoryLock | None:
    return locks.lock_directory(f"/proc/self/fd/{root}/{PARENT}/{name}", wait=False)


def _exists(root: int, name: str) -> bool:
    try:
        os.stat(f"{PARENT}/{name}", dir_fd=root)
    except OSError:
        return False
    return True


def deserted() -> list[str]:
    """The machines whose cgroup is there, and no process in it."""
    with _root() as root:
        try:
            parent = os.open(PARENT, os.O_RDONLY | os.O_DIRECTORY, dir_fd=root)
        except FileNotFoundError:
            return []
        try:
            return [
                entry.name for entry in os.scandir(parent) if entry.is_dir() and not _is_populated(parent, entry.name)
            ]
        finally:
            os.close(parent)


def remove(name: str) -> None:
    """Kill what is left in a machine's cgroup, wait until it is dead, and remove it. It may be gone already."""
    deadline = Deadline(_KILL_SECONDS)
    with _root() as root:
        with suppress(FileNotFoundError):
            group = os.open(f"{PARENT}/{name}", os.O_RDONLY | os.O_DIRECTORY, dir_fd=root)
            try:
                while True:
                    _kill(group, name, deadline)
                    with suppress(BlockingIOError):
                        _remove_whole(root, group, name)
                        break
                    select.select([], [], [], _PAUSE_SECONDS)  # nothing tells when that is over
            finally:
                os.close(group)
        with suppress(OSError):
            os.rmdir(PARENT, dir_fd=root)


def empty(path: str) -> None:
    """Kill what is left in a cgroup that somebody else removes, and wait until it is dead."""
    try:
        with _root() as root:
            group = os.open(path, os.O_RDONLY | os.O_DIRECTORY, dir_fd=root)
            try:
                _kill(group, os.path.basename(path), Deadline(_KILL_SECONDS))
            finally:
                os.close(group)
    except OSError as error:
        if error.errno not in _GONE:
            raise


def clear(path: str) -> None:
    """Kill what is left in a cgroup of ours, and have it as it was made, but for its limits: a process can enter it."""
    empty(path)
    with _root() as root, suppress(FileNotFoundError):  # somebody took it for debris: it is made again when entered
        group = os.open(path, os.O_RDONLY | os.O_DIRECTORY, dir_fd=root)
        try:
            remove_children(group)
            # A cgroup that hands controllers down takes no process: cgroups(7), no internal processes.
            for controller in _read_words(root, f"{path}/cgroup.subtree_control"):
                _write(root, f"{path}/cgroup.subtree_control", f"-{controller}")
        finally:
            os.close(group)


def is_empty(path: str) -> bool:
    """Whether a cgroup is there, and no process in it."""
    with _root() as root:
        return not _is_populated(root, path)


def remove_empty(name: str) -> None:
    """Remove a machine's cgroup if no process is in it."""
    with _root() as root, suppress(OSError):  # somebody may come in at this moment
        if not _is_populated(root, f"{PARENT}/{name}"):
            group = os.open(f"{PARENT}/{name}", os.O_RDONLY | os.O_DIRECTORY, dir_fd=root)
            try:
                _remove_whole(root, group, name)
            finally:
                os.close(group)
        os.rmdir(PARENT, dir_fd=root)


def _remove_whole(root: int, group: int, name: str) -> None:
    """Raises BlockingIOError where somebody has come in meanwhile, or is not quite gone."""
    try:
        remove_children(group)
        os.rmdir(f"{PARENT}/{name}", dir_fd=root)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise BlockingIOError(*error.args) from error
        raise


def remove_children(group: int) -> None:
    """Remove all cgroups below one, by its descriptor; nothing is left in them."""
    for _, directories, _, parent in os.fwalk(".", topdown=False, dir_fd=group):
        for directory in directories:
            with suppress(FileNotFoundError):
                os.rmdir(directory, dir_fd=parent)


def _hand_down(root: int, path: str) -> None:
    """Let the children of a cgroup have controllers, where there are any: on cgroup v1 hosts there are none."""
    for controller in _controllers(root, path):
        with suppress(OSError):  # a container's cgroup has processes in it, and may not
            _write(root, f"{path}/cgroup.subtree_control", f"+{controller}")


def _controllers(root: int, path: str) -> set[str]:
    return set(_read_words(root, f"{path}/cgroup.controllers")) & _CONTROLLERS


def _read_words(directory: int, path: str) -> list[str]:
    with open(os.open(path, os.O_RDONLY, dir_fd=directory)) as file:
        return file.read().split()


def _is_populated(parent: int, name: str) -> bool:
    try:
        with open(os.open(f"{name}/cgroup.events", os.O_RDONLY, dir_fd=parent)) as events:
            return "populated 1" in events.read()
    except OSError as error:
        if error.errno in _GONE:
            return True  # on its way out, by somebody else's hand
        raise


def _kill(group: int, name: str, deadline: Deadline) -> None:
    events = os.open("cgroup.events", os.O_RDONLY, dir_fd=group)
    try:
        poller = select.poll()
        poller.register(events, select.POLLPRI)
        while b"populated 1" in os.pread(events, 4096, 0):
            _kill_all(group)
            # The kernel signals a change of cgroup.events; the time limit is for kernels without cgroup.kill,
            # where a fork can slip away from one round.
            poller.poll(min(deadline.remaining() or 0, 1.0) * 1000)
            if deadline.expired():
                break
    finally:
        os.close(events)
    if deadline.expired():
        raise HostError(f"processes of the machine {name} cannot be killed", hint="see `dmesg`")


def _kill_all(group: int) -> None:
    try:
        _write(group, "cgroup.kill", "1")
    except FileNotFoundError:  # before Linux 5.14
        for pid in _pids(group):
            with suppress(ProcessLookupError):
                os.kill(pid, 9)


def _write(directory: int, path: str, text: str) -> None:
    with open(os.open(path, os.O_WRONLY, dir_fd=directory), "w") as file:
        file.write(text)


def _pids(group: int) -> Iterator[int]:
    for _, _, files, directory in os.fwalk(".", dir_fd=group):
        if "cgroup.procs" in files:
            with suppress(OSError), open(os.open("cgroup.procs", os.O_RDONLY, dir_fd=directory)) as procs:
                yield from (int(line) for line in procs)


@contextmanager
def _root() -> Iterator[int]:
    path = mount_point()
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY) if path else _new_mount()
    try:
        yield fd
    finally:
        os.close(fd)


def mount_point() -> str | None:
    """Where the host has cgroup2 mounted; None where it is on cgroup v1 alone."""
    with open("/proc/self/mounts") as mounts:
        found = [fields[1] for fields in map(str.split, mounts) if fields[2] == "cgroup2"]
    # Where the hierarchy is mounted more than once, the last mount at the usual place is the one that is seen there.
    return "/sys/fs/cgroup" if "/sys/fs/cgroup" in found else found[0] if found else None


def _new_mount() -> int:
    try:
        return kernel.new_cgroup2()
    except OSError as error:
        raise HostError(
            "this host has no cgroup2 hierarchy",
            why=str(error),
            hint="mount one: mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified (Linux 4.5 or newer)",
        ) from error
