"""Run `postroj ARGUMENT...`, or the code after -c, with all that macOS has not taken away from Python.

It is a program of its own, as what it takes away is needed by pytest. What is taken away is what Python's documentation
marks as Linux's, and the files that only Linux has.
"""

import builtins
import ctypes
import fcntl
import io
import os
import platform
import select
import signal
import socket
import sys
import types
from collections.abc import Callable
from typing import Any

_LINUX_ONLY = {
    os: (
        "CLONE_", "EFD_", "GRND_", "MFD_", "O_DIRECT", "O_LARGEFILE", "O_NOATIME", "O_PATH", "O_TMPFILE", "PIDFD_",
        "P_PIDFD", "SPLICE_", "TFD_", "XATTR_", "copy_file_range", "eventfd", "getrandom", "getres", "getxattr",
        "listxattr", "memfd_", "pidfd_", "pipe2", "posix_fad", "posix_fallocate", "removexattr", "sched_get",
        "sched_set", "setns", "setres", "setxattr", "splice", "timerfd_", "unshare",
    ),
    select: ("epoll", "EPOLL"),
    signal: ("pidfd_", "sigtimedwait", "sigwaitinfo", "SIGPOLL", "SIGPWR", "SIGRT", "SIGSTKFLT"),
    socket: (
        "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "MSG_CMSG_CLOEXEC", "SCM_CREDENTIALS", "SOCK_CLOEXEC", "SOCK_NONBLOCK",
        "SO_BINDTODEVICE", "SO_MARK", "SO_PASSCRED", "SO_PEERCRED", "SO_PEERSEC", "TCP_USER_TIMEOUT",
    ),
    fcntl: ("F_ADD_SEALS", "F_GETPIPE", "F_GET_SEALS", "F_NOTIFY", "F_OFD_", "F_SEAL_", "F_SETPIPE"),
}  # fmt: skip
_KEPT = ("O_DIRECTORY",)
_SYSTEM_CALLS = ("mount", "umount2", "unshare", "setns", "syscall", "prctl", "pivot_root")
_FILES = ("/proc/", "/sys/", "/run/", "/etc/os-release", "/usr/lib/os-release", "/etc/machine-id")


class _Library:
    """A C library without the system calls of Linux."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._library = _CDLL(*args, **options)

    def __getattr__(self, name: str) -> Any:
        if name in _SYSTEM_CALLS:
            raise AttributeError(name)
        return getattr(self._library, name)


_CDLL = ctypes.CDLL


def pretend() -> None:
    """Take away what macOS has not."""
    sys.platform = "darwin"
    os.uname = lambda: os.uname_result(("Darwin", "mac", "24.1.0", "Darwin Kernel Version 24.1.0", "arm64"))
    platform.system, platform.release, platform.machine = lambda: "Darwin", lambda: "24.1.0", lambda: "arm64"
    proxies: Any = types.ModuleType("_scproxy")  # which macOS has, for urllib
    proxies._get_proxies = proxies._get_proxy_settings = dict
    sys.modules["_scproxy"] = proxies
    for module, starts in _LINUX_ONLY.items():
        for name in [name for name in dir(module) if name.startswith(starts) and name not in _KEPT]:
            delattr(module, name)
    for name in ("open", "stat", "lstat", "listdir", "scandir", "readlink", "access", "mkdir", "statvfs"):
        setattr(os, name, _without_files(getattr(os, name)))
    builtins.open = io.open = _without_files(builtins.open)
    ctypes.CDLL = _Library  # type: ignore[misc, assignment]


def _without_files(real: Callable[..., Any]) -> Callable[..., Any]:
    def call(path: Any = ".", *args: Any, **options: Any) -> Any:
        if isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith(_FILES):
            raise FileNotFoundError(2, "No such file or directory", path)
        return real(path, *args, **options)

    return call


if __name__ == "__main__":
    pretend()
    if sys.argv[1] == "-c":
        exec(sys.argv[2])
    else:
        from postroj.__main__ import main

        main()
