"""Capabilities of a guest: capabilities(7), and what of them systemd-nspawn(1) retains."""

from postroj.container.options import Options

# Of what systemd-nspawn(1) retains, what no service needs, or what a user namespace does not grant anyway.
_DROPPED = ("CAP_AUDIT_CONTROL", "CAP_LINUX_IMMUTABLE", "CAP_MKNOD", "CAP_NET_BROADCAST", "CAP_SYS_TTY_CONFIG")
_GIVEN = ("CAP_IPC_LOCK",)
"""Of what it does not retain, what is harmless in a user namespace: within RLIMIT_MEMLOCK, mlock(2) is for everybody.

nspawn allows the system calls that go with a capability only together with it.
"""


def arguments(options: Options) -> list[str]:
    """Return what gives and drops capabilities of a guest with users of its own, and what does of one without."""
    given = ",".join((*_GIVEN, *options.capabilities))
    dropped = ",".join(name for name in _DROPPED if name not in options.capabilities)
    otherwise = "--capability=all" if options.privileged else f"--drop-capability={','.join(_DROPPED)}"
    return [f"--capability={given}", f"--drop-capability={dropped}", otherwise]
