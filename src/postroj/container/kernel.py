"""System calls that Python has no name for, and threads to make them in.

The numbers of system calls newer than Linux 5.0 are the same on all architectures.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000

_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT, _OPENAT2, _MOUNT_SETATTR = 428, 429, 430, 431, 432, 437, 442
_SETRESUID = {"x86_64": 117, "aarch64": 147, "riscv64": 147, "loongarch64": 147, "ppc64le": 164, "s390x": 208}
_SETRESGID = {"x86_64": 119, "aarch64": 149, "riscv64": 149, "loongarch64": 149, "ppc64le": 169, "s390x": 210}

_AT_FDCWD = -100
_MS_NODEV, _MS_REMOUNT, _MS_BIND = 4, 32, 4096
_AT_EMPTY_PATH = 0x1000
_OPEN_TREE_CLONE = 1
_AT_RECURSIVE = 0x8000
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOUNT_ATTR_NODEV = 0x00000004
_MOUNT_ATTR_IDMAP = 0x00100000
_FSOPEN_CLOEXEC = _FSMOUNT_CLOEXEC = 1
_FSCONFIG_CMD_CREATE = 6
_RESOLVE_IN_ROOT = 0x10
_PR_SET_PDEATHSIG = 1
_PR_GET_SECUREBITS, _PR_SET_SECUREBITS = 27, 28
_SECBIT_NO_SETUID_FIXUP = 1 << 2

_LIBC = ctypes.CDLL(None, use_errno=True)


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def in_thread(work: Callable[[], T]) -> T:
    """Do something in a thread of its own: what it changes of its namespaces and its identity ends with it."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def as_user(uid: int, work: Callable[[], T], *, capable: bool = False) -> T:
    """Do something as another user, with the group of the same number, in a thread.

    The raw setresuid(2) changes one thread, libc's wrapper all.

    With `capable` it keeps its capabilities, as far as this host allows that: capabilities(7), SECBIT_NO_SETUID_FIXUP.
    """
    if uid == 0:
        return work()

    def run() -> T:
        architecture = os.uname().machine
        if architecture not in _SETRESUID:
            raise OSError(f"setresuid(2) has no known number on {architecture}")
        if capable:
            _LIBC.prctl(_PR_SET_SECUREBITS, _LIBC.prctl(_PR_GET_SECUREBITS) | _SECBIT_NO_SETUID_FIXUP)
        _check(_LIBC.syscall(_SETRESGID[architecture], -1, uid, -1))
        _check(_LIBC.syscall(_SETRESUID[architecture], -1, uid, -1))
        return work()

    return in_thread(run)


def signal_at_parents_end(signum: int) -> None:
    """Have this process be sent a signal when its parent ends; 0 takes that back: PR_SET_PDEATHSIG(2const)."""
    _check(_LIBC.prctl(_PR_SET_PDEATHSIG, signum))


def in_mounts_of(namespace: int, work: Callable[[], T]) -> T:
    """Do something in the mount namespace behind a descriptor, in a thread."""

    def run() -> T:
        _check(_LIBC.unshare(CLONE_FS))
        _check(_LIBC.setns(namespace, CLONE_NEWNS))
        return work()

    return in_thread(run)


def in_network_of(namespace: int, work: Callable[[], T]) -> T:
    """Do something in the network namespace behind a descriptor, in a thread; a socket made there stays there."""

    def run() -> T:
        _check(_LIBC.setns(namespace, CLONE_NEWNET))
        return work()

    return in_thread(run)


def open_in_root(root: int, path: str, flags: int) -> int:
    """Open a path as if the directory `root` were the root, where links stay in it: openat2(2), Linux 5.6."""
    how = _OpenHow(flags | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT)
    return _check(_LIBC.syscall(_OPENAT2, root, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how)))


def mount_new(source: str, target: str, kind: str, options: str = "", *, devices: bool = False) -> None:
    """Mount a new file system: mount(2). Raises OSError.

    Device nodes in it are no devices, unless `devices` says so.
    """
    _check(_LIBC.mount(*map(os.fsencode, (source, target, kind)), 0 if devices else _MS_NODEV, os.fsencode(options)))


def without_devices(target: str) -> None:
    """Remount with nodev."""
    flags = _MS_REMOUNT | _MS_BIND | _MS_NODEV
    _check(_LIBC.mount(None, os.fsencode(target), None, flags, None))


def clone_mount(path: str, *, recursive: bool = False) -> int:
    """A copy of the mount that shows `path`, seen by nobody yet: open_tree(2), Linux 5.2."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    return _check(_LIBC.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags))


def map_owners(mount_fd: int, user_namespace: int, *, recursive: bool = False) -> None:
    """Have a mount that nobody sees yet show the owners that a user namespace maps: mount_setattr(2), Linux 5.12.

    Device nodes in it are no devices then.
    """
    attributes = _MountAttr(_MOUNT_ATTR_IDMAP | _MOUNT_ATTR_NODEV, 0, 0, user_namespace)
    size = ctypes.sizeof(attributes)
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    _check(_LIBC.syscall(_MOUNT_SETATTR, mount_fd, b"", flags, ctypes.byref(attributes), size))


def attach_mount(mount_fd: int, target: str) -> None:
    """Attach a detached mount: move_mount(2)."""
    path = os.fsencode(target)
    _check(_LIBC.syscall(_MOVE_MOUNT, mount_fd, b"", _AT_FDCWD, path, _MOVE_MOUNT_F_EMPTY_PATH))


def new_cgroup2() -> int:
    """A mount of the cgroup2 hierarchy that nobody sees: fsopen(2), fsmount(2), Linux 5.2."""
    context = _check(_LIBC.syscall(_FSOPEN, b"cgroup2", _FSOPEN_CLOEXEC))
    try:
        _check(_LIBC.syscall(_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0))
        return _check(_LIBC.syscall(_FSMOUNT, context, _FSMOUNT_CLOEXEC, 0))
    finally:
        os.close(context)


def _check(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
