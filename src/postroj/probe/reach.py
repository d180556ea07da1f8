"""Whether a service can be reached at all: it may have a network namespace of its own."""

from collections.abc import Sequence

from postroj.contract import Machine
from postroj.probe import evidence

_SETTINGS = ("PrivateNetwork", "NetworkNamespacePath", "IPAddressDeny", "MainPID")
_OF_MACHINE = "/proc/1/ns/net"


def hindrance(machine: Machine, units: Sequence[str]) -> str:
    """Return, as a clause, what keeps a service from being reached by the network; empty for nothing."""
    for unit in units:
        if not unit.endswith(".service"):
            continue
        shown = evidence.ask(machine, ["systemctl", "show", f"--property={','.join(_SETTINGS)}", "--", unit])
        settings = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        pid = settings.get("MainPID", "")
        if pid.isdecimal() and pid != "0" and _has_own_network(machine, pid):
            private = "PrivateNetwork=yes" if settings.get("PrivateNetwork") == "yes" else ""
            path = settings.get("NetworkNamespacePath", "")
            why = (path and f"NetworkNamespacePath={path}") or private
            return f"{unit} runs in a network namespace of its own{why and f' ({why})'}: nothing outside can reach it"
        if denied := settings.get("IPAddressDeny"):
            return f"{unit} sets IPAddressDeny={denied[:_MOST]}"
    return ""


_MOST = 100


def _has_own_network(machine: Machine, pid: str) -> bool:
    """Return whether a process of the guest is in another network namespace than its PID 1."""
    found = evidence.ask(machine, ["readlink", _OF_MACHINE, f"/proc/{pid}/ns/net"]).splitlines()
    return len(found) == 2 and found[0] != found[1]
