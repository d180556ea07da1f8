"""What a process has to be allowed."""

import os
import sys

from postroj.errors import UsageError

HOW_TO_GET_LINUX = "`postroj vm host create` makes a Linux VM in which it is run: docs/macos.md"
"""What to do on a host that does not run Linux."""
_SYSTEMS = {"darwin": "macOS", "win32": "Windows", "cygwin": "Windows"}


def is_linux() -> bool:
    """Return whether containers can be made here at all."""
    return sys.platform == "linux"


def system() -> str:
    """Return what this host's operating system is called."""
    return _SYSTEMS.get(sys.platform, sys.platform)


def require_linux() -> None:
    """Raise UsageError unless this host runs Linux, whose namespaces and systemd-nspawn containers are made with."""
    if not is_linux():
        raise UsageError(f"this needs Linux, and this host runs {system()}", hint=HOW_TO_GET_LINUX)


def require_root(hint: str = "run the program as root") -> None:
    """Raise UsageError unless we are root on Linux: namespaces, mounts and cgroups of a machine are root's to make."""
    require_linux()
    if os.geteuid() != 0:
        raise UsageError("this needs root, to make namespaces, mounts and cgroups", hint=hint)


def require_fit_process() -> None:
    """Raise UsageError unless we are root, and files that we make can be read by others: the users of a guest.

    The umask is that of all threads, so a library cannot change it; the command line does.
    """
    require_root()
    with open("/proc/self/status") as file:
        umask = next((int(line.split()[1], 8) for line in file if line.startswith("Umask:")), 0)
    if umask & 0o055:
        what = f"the umask {umask:04o} keeps the users of a guest from its files"
        raise UsageError(what, hint="call os.umask(0o022) at the start of the program")
