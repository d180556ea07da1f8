"""`postroj ps`: list the running machines."""

import argparse
import os
import time

from postroj import container, privileges
from postroj.cli import table
from postroj.container.host import record

_HEADER = ("NAME", "IMAGE", "SINCE", "UNTIL", "KEPT BECAUSE")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = (
        "Root is not needed. With --quiet, names only, one a line. A machine that boots still, or was started with "
        "--no-boot, has neither image nor time."
    )
    table.add_format(parser)


def handle(args: argparse.Namespace) -> int:
    """Print them. Root is not needed: only what a killed run has left is then not removed."""
    if privileges.is_linux() and os.geteuid() == 0:
        container.sweep()
    found = list(record.living().items())
    if args.quiet and not args.format:
        for name, _ in found:
            print(name)
        return 0
    rows = [
        {
            "name": name,
            "image": known.image if known else None,
            "since": _time(known.since) if known else None,
            "until": _time(known.until) if known and known.until else None,
            "reason": known.reason if known and known.reason else None,
        }
        for name, known in found
    ]
    table.show(args.format, _HEADER, [tuple(value or "-" for value in row.values()) for row in rows], rows)
    return 0


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
