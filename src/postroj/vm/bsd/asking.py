"""What a BSD is asked: scripts for its sh, and how their answers are read.

Sources: service(8), sysrc(8) and netstat(1) of FreeBSD, rcctl(8) of OpenBSD. What is read comes from the guest.
"""

import ipaddress
from typing import NamedTuple

from postroj.contract import FileFacts, Listener, Running, UnitFacts, UnitState

# Scripts are fixed; a name or a path is their argument. rcctl is OpenBSD's.
SERVICE = """
if command -v rcctl >/dev/null; then
    rcctl get "$1" flags >/dev/null 2>&1 || exit 0
    if rcctl check "$1" >/dev/null 2>&1; then echo running; else echo stopped; fi
    if rcctl get "$1" status >/dev/null 2>&1; then echo enabled; else echo disabled; fi
else
    [ -x "/etc/rc.d/$1" ] || [ -x "/usr/local/etc/rc.d/$1" ] || exit 0
    if service "$1" onestatus >/dev/null 2>&1; then echo running; else echo stopped; fi
    if service "$1" enabled >/dev/null 2>&1; then echo enabled; else echo disabled; fi
fi
"""
CHANGE = """
verb=$1
shift
status=0
for name; do
    if command -v rcctl >/dev/null; then
        case $verb in
        enable) rcctl enable "$name" ;;
        disable) rcctl stop "$name"; rcctl disable "$name" ;;
        *) rcctl -f "$verb" "$name" ;;
        esac
    else
        case $verb in
        enable) service "$name" enable ;;
        disable) service "$name" onestop; service "$name" disable ;;
        *) service "$name" "one$verb" ;;
        esac
    fi || status=1
done
exit $status
"""
SHOWN = """
if command -v rcctl >/dev/null; then rcctl get "$1"; rcctl check "$1"; else service "$1" onestatus; fi 2>&1
echo
grep -F -- "$1" /var/log/messages | tail -n 50
"""
FILE = """
[ -e "$1" ] || exit 0
if [ -d "$1" ]; then echo directory; else echo file; fi
stat -L -f '%z %Su' -- "$1"
"""
LISTENERS = "netstat -an -f inet; netstat -an -f inet6"
PROCESSES = "ps -axo pid=,uid=,comm="
BOOTED = "sysctl -n kern.boottime"
FREE = "df -k /"
REACHES = 'nc -z -w "$3" "$1" "$2"'


class Service(NamedTuple):
    """A service, as SERVICE tells it."""

    is_running: bool
    is_enabled: bool


def read_service(output: str) -> Service | None:
    """Return what SERVICE has printed; None for no such service."""
    words = output.split()
    return Service("running" in words, "enabled" in words) if words else None


def state(service: Service | None, *, seconds: float, was_tried: bool) -> UnitState:
    """Return a service as a unit; `seconds` is how long it has been seen to run."""
    if service is None:
        return UnitState("not-found", "inactive", "dead", 0.0, 0, "", has_job=False)
    active, sub = ("active", "running") if service.is_running else ("inactive", "dead")
    return UnitState("loaded", active, sub, seconds, 0, "success", has_job=False, was_tried=was_tried)


def facts(service: Service | None) -> UnitFacts:
    """Return how a service is set up."""
    return UnitFacts(enablement="" if service is None else "enabled" if service.is_enabled else "disabled")


def read_listeners(output: str) -> list[Listener]:
    """Return the sockets of netstat: `tcp4 0 0 *.22 *.* LISTEN`; a port is behind the last dot."""
    found = []
    for fields in map(str.split, output.splitlines()):
        protocol = fields[0].rstrip("46") if fields else ""
        if len(fields) < 5 or protocol not in ("tcp", "udp") or fields[-1 if protocol == "tcp" else 4] not in (
            "LISTEN", "*.*"
        ):  # fmt: skip
            continue
        host, _, port = fields[3].rpartition(".")
        address = _address(host, is_six=fields[0].endswith("6"))
        if address and port.isdecimal():
            found.append(Listener(protocol, address, int(port), 0))
    return found


def _address(text: str, *, is_six: bool) -> str:
    if text == "*":
        return "::" if is_six else "0.0.0.0"
    try:
        return str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return ""


def read_processes(output: str) -> list[Running]:
    """Return the processes of ps(1)."""
    rows = [line.split(None, 2) for line in output.splitlines()[:10_000]]
    return [
        Running(int(row[0]), row[2].rpartition("/")[2][:15], int(row[1]), "", frozenset())
        for row in rows
        if len(row) == 3 and row[0].isdecimal() and row[1].isdecimal()
    ]


def read_free(output: str) -> int:
    """Return the bytes that are free, from df(1): its fourth column."""
    fields = output.splitlines()[-1].split() if output.strip() else []
    return int(fields[3]) * 1024 if len(fields) > 3 and fields[3].isdecimal() else 0


def read_file(output: str) -> FileFacts | None:
    """Return what FILE has printed; None for nothing."""
    fields = output.split()
    return FileFacts(fields[0], int(fields[1]), fields[2]) if len(fields) == 3 and fields[1].isdecimal() else None
