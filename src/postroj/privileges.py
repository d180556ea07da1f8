"""What a process has to be allowed."""

import os

from postroj.errors import UsageError


def require_root(hint: str = "run the program as root") -> None:
    """Raise UsageError unless we are root: namespaces, mounts and cgroups of a machine are root's to make."""
    if os.geteuid() != 0:
        raise UsageError("this needs root, to make namespaces, mounts and cgroups", hint=hint)
