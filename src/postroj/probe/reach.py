"""Who answers at an address, and what keeps a service from being reached: a network namespace of its own, say."""

import re
from collections.abc import Collection, Sequence

from postroj.contract import Machine
from postroj.lastwords import tells
from postroj.probe import Finding, evidence, holders
from postroj.probe.network import Address

_SETTINGS = ("PrivateNetwork", "NetworkNamespacePath", "IPAddressDeny", "MainPID")
_TEMPORARY = ("/tmp/", "/var/tmp/")
_OF_MACHINE = "/proc/1/ns/net"
_MOST = 100
_SERVER_ERROR = re.compile(r"\b(?:answered|got) 5\d\d\b")
_LONGEST = 200
_LINES = 10


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


def hidden(machine: Machine, units: Sequence[str], path: str) -> str:
    """Return, as a clause, the unit that has directories of its own where a file is looked for; empty for none."""
    if not path.startswith(_TEMPORARY):
        return ""
    for unit in units:
        if unit.endswith(".service"):
            shown = evidence.ask(machine, ["systemctl", "show", "--property=PrivateTmp", "--value", "--", unit])
            if shown not in ("", "no"):
                return f"{unit} has a /tmp and a /var/tmp of its own (PrivateTmp={shown}): nobody else sees its files"
    return ""


def answered(machine: Machine, address: Address, finding: Finding, units: Collection[str]) -> Finding:
    """Return the finding of an address with what is known of who answers there.

    If it passes, that is told only of a process of another unit than `units`, which are under test. An answer of 500
    and above has what its unit has printed of an error.
    """
    if not address.is_local or not (finding.passed or _SERVER_ERROR.search(finding.detail)):
        return finding
    if other := holders.foreign(machine, address.port, units):
        finding = finding._replace(detail=f"{finding.detail}; answered by {other}")
    if finding.passed:
        return finding
    for unit in dict.fromkeys(one.unit for one in holders.holders(machine, [address.port]) if one.unit):
        lines = evidence.last_words(machine, unit).splitlines()
        if line := next((line.strip() for line in reversed(lines) if tells(line)), ""):
            shown = "\n".join([finding.evidence, f"{unit} has printed last:", *lines[-_LINES:]])
            return finding._replace(detail=f"{finding.detail}; {unit} printed: {line[:_LONGEST]}", evidence=shown)
    return finding


def _has_own_network(machine: Machine, pid: str) -> bool:
    """Return whether a process of the guest is in another network namespace than its PID 1."""
    found = evidence.ask(machine, ["readlink", _OF_MACHINE, f"/proc/{pid}/ns/net"]).splitlines()
    return len(found) == 2 and found[0] != found[1]
