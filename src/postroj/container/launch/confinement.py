"""What nspawn confines a guest with: its capabilities, of those that systemd-nspawn(1) retains, and its network."""

from contextlib import suppress

from postroj import process
from postroj.container.options import HOST, Options

# Of what systemd-nspawn(1) retains, what no service needs, or what a user namespace does not grant anyway.
_DROPPED = ("CAP_AUDIT_CONTROL", "CAP_LINUX_IMMUTABLE", "CAP_MKNOD", "CAP_NET_BROADCAST", "CAP_SYS_TTY_CONFIG")
_GIVEN = ("CAP_IPC_LOCK",)
"""Of what it does not retain, what is harmless in a user namespace: within RLIMIT_MEMLOCK, mlock(2) is for everybody.

nspawn allows the system calls that go with a capability only together with it.
"""


def capabilities(options: Options) -> list[str]:
    """Return what gives and drops capabilities of a guest with users of its own, and what does of one without."""
    given = ",".join((*_GIVEN, *options.capabilities))
    dropped = ",".join(name for name in _DROPPED if name not in options.capabilities)
    otherwise = "--capability=all" if options.privileged else f"--drop-capability={','.join(_DROPPED)}"
    return [f"--capability={given}", f"--drop-capability={dropped}", otherwise]


def network(options: Options) -> list[str]:
    """Return what gives it a network namespace, and keeps all address families there, netlink included.

    261 and newer can restrict them, and a later one will.
    """
    arguments = [] if options.network == HOST else ["--private-network"]
    option = "--restrict-address-families="
    with suppress(OSError), open(process.find("systemd-nspawn") or "", "rb") as file:
        if option.strip("-=").encode() in file.read():
            arguments.append(option)
    return arguments
