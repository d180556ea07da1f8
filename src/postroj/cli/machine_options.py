"""The options of every command that starts a machine: its isolation and its limits."""

import argparse
import re

from postroj.cli.common import number, out_of_range, typed
from postroj.container.options import (
    LEAST_CPUS,
    LEAST_TASKS,
    LOOPBACK,
    MOST_CPUS,
    MOST_TASKS,
    Options,
    read_capability,
    read_publish,
    read_size,
)  # fmt: skip


def add(parser: argparse.ArgumentParser, *, publish: tuple[str, ...] = ("--publish",)) -> None:
    """Add them; `publish` has the names of that option."""
    group = parser.add_argument_group("isolation and limits")
    group.add_argument(
        "--network", default="private", metavar="NETWORK",
        help="private: own network with NAT (default); host: the host's; none: loopback only; or a name: a private "
        "network shared by the machines that give this name, which can resolve each other's names",
    )  # fmt: skip
    group.add_argument(
        *publish, type=typed(read_publish), action="append", default=[], metavar="[ADDRESS:]HOST_PORT:PORT",
        help=f"publish a guest TCP port on the host, on {LOOPBACK} by default; repeatable",
    )  # fmt: skip
    group.add_argument(
        "--privileged", action="store_true", help="disable isolation: root in the machine is root on the host"
    )
    group.add_argument(
        "--capability", type=read_capability, action="append", default=[], metavar="CAP_NAME",
        help="give the guest one more capability, within its user namespace: CAP_SYS_TIME; repeatable",
    )  # fmt: skip
    group.add_argument(
        "--memory", type=typed(read_size), default=0, metavar="SIZE", help="memory limit, such as 512M or 2G"
    )
    group.add_argument("--cpus", type=_cpus, default=0.0, metavar="N", help="CPU time limit in CPUs, such as 0.5")
    group.add_argument(
        "--tasks", type=_tasks, default=0, metavar="N", help=f"limit on processes and threads, at least {LEAST_TASKS}"
    )
    group.add_argument(
        "--disk", type=typed(read_size), default=0, metavar="SIZE",
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


def _cpus(text: str) -> float:
    return number(text, "a number of CPUs", LEAST_CPUS, MOST_CPUS)


def _tasks(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,7}", text) or int(text) < LEAST_TASKS:
        raise out_of_range(text, "a number of tasks", str(LEAST_TASKS), str(MOST_TASKS))
    return int(text)
