"""What a process has to be allowed."""

import os

from postroj.errors import UsageError


def require_root(hint: str = "run the program as root") -> None:
    """Raise UsageError unless we are root: namespaces, mounts and cgroups of a machine are root's to make."""
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
