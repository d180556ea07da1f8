"""The options of every command that starts a machine: its isolation and its limits."""

import argparse
import re

from postroj.cli.common import number, out_of_range
from postroj.container.options import Options, Publish

_SIZE = re.compile(r"([0-9]{1,12})([KMGT]?)")
_PORTS = re.compile(r"(?:(?P<address>\[[0-9a-fA-F:]+\]|[0-9.]+):)?(?P<host>[0-9]{1,5}):(?P<guest>[0-9]{1,5})(?:/tcp)?")
_LEAST_TASKS = 16
"""Fewer cannot boot a system."""
_LOOPBACK = "127.0.0.1"


def add(parser: argparse.ArgumentParser, *, publish: tuple[str, ...] = ("--publish",)) -> None:
    """Add them; `publish` has the names of that option."""
    group = parser.add_argument_group("isolation and limits")
    group.add_argument(
        "--network", default="private", metavar="NETWORK",
        help="private: own network with NAT (default); host: the host's; none: loopback only; or a name: a private "
        "network shared by the machines that give this name, which can resolve each other's names",
    )  # fmt: skip
    group.add_argument(
        *publish, type=_publish, action="append", default=[], metavar="[ADDRESS:]HOST_PORT:PORT",
        help=f"publish a guest TCP port on the host, on {_LOOPBACK} by default; repeatable",
    )  # fmt: skip
    group.add_argument(
        "--privileged", action="store_true", help="disable isolation: root in the machine is root on the host"
    )
    group.add_argument(
        "--capability", type=_capability, action="append", default=[], metavar="CAP_NAME",
        help="give the guest one more capability, within its user namespace: CAP_SYS_TIME; repeatable",
    )  # fmt: skip
    group.add_argument("--memory", type=_size, default=0, metavar="SIZE", help="memory limit, such as 512M or 2G")
    group.add_argument("--cpus", type=_cpus, default=0.0, metavar="N", help="CPU time limit in CPUs, such as 0.5")
    group.add_argument(
        "--tasks", type=_tasks, default=0, metavar="N", help=f"limit on processes and threads, at least {_LEAST_TASKS}"
    )
    group.add_argument(
        "--disk", type=_size, default=0, metavar="SIZE",
        help="limit on what the guest writes to its root file system, which is kept in memory (half of the host's "
        "memory)",
    )  # fmt: skip


def read(args: argparse.Namespace) -> Options:
    """Return the options that were given. Raises UsageError if they do not go together."""
    options = Options(
        network=args.network,
        publish=tuple(args.publish),
        privileged=args.privileged,
        capabilities=tuple(dict.fromkeys(args.capability)),
        memory=args.memory,
        cpus=args.cpus,
        tasks=args.tasks,
        disk=args.disk,
    )
    options.check()
    return options


def _capability(text: str) -> str:
    """Return the name of a capability, given as systemd and Docker write it: with or without CAP_, in either case."""
    name = text.upper()
    return name if name.startswith("CAP_") else f"CAP_{name}"


def _size(text: str) -> int:
    """Return a number of bytes, given with the suffixes of systemd.resource-control(5), to the base of 1024."""
    match = _SIZE.fullmatch(text)
    size = int(match[1]) << 10 * " KMGT".index(match[2] or " ") if match else 0
    if not 1 << 20 <= size <= 1 << 50:
        raise out_of_range(text, "a size", "1M", "1024T, such as 512M")
    return size


def _cpus(text: str) -> float:
    return number(text, "a number of CPUs", 0.01, 8192)


def _tasks(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,7}", text) or int(text) < _LEAST_TASKS:
        raise out_of_range(text, "a number of tasks", str(_LEAST_TASKS), "9999999")
    return int(text)


def _publish(text: str) -> Publish:
    match = _PORTS.fullmatch(text)
    if not match or not all(0 < int(match[port]) < 65536 for port in ("host", "guest")):
        what = f"'{text[:80]}' is not HOST_PORT:PORT or ADDRESS:HOST_PORT:PORT (TCP)"
        raise argparse.ArgumentTypeError(f"{what}{_mended(text)}")
    import ipaddress  # 4 ms, that are not for every start

    try:
        address = ipaddress.ip_address((match["address"] or _LOOPBACK).strip("[]"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text[:80]}': {error}") from error
    return Publish(str(address), int(match["host"]), int(match["guest"]))


def _mended(text: str) -> str:
    """Return what to write for what docker takes besides, as a clause; empty for anything else."""
    if re.fullmatch("[0-9]{1,5}(/tcp)?", text):
        port = text.partition("/")[0]
        return f": no port of the host is chosen; for the same one write {port}:{port}"
    if re.fullmatch(".*/(udp|sctp)", text):
        return f": {text.rpartition('/')[2].upper()} ports are not published"
    if re.fullmatch(r"[^-]*[0-9]-[0-9]+:[0-9]+-[0-9]+(/tcp)?", text):
        return ": a range of ports is not taken; repeat the option for each"
    return ""
