"""`postroj ps`: list the running machines."""

import argparse
import os
import time
from collections.abc import Iterator

from postroj import container, privileges
from postroj.cli import table
from postroj.container.host import record
from postroj.vm import records, sweeping

_HEADER = ("NAME", "IMAGE", "SINCE", "UNTIL", "KEPT BECAUSE", "KIND")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = (
        "Root is not needed. With --quiet, names only, one a line. A machine that boots still, or was started with "
        "--no-boot, has neither image nor time. VMs are listed while a run uses them; `postroj vm ls` lists all."
    )
    table.add_format(parser)


def handle(args: argparse.Namespace) -> int:
    """Print them. Root is not needed: only what a killed run has left is then not removed."""
    if privileges.is_linux() and os.geteuid() == 0:
        container.sweep()
        sweeping.sweep_quietly()
    rows = [*_containers(), *_vms()]
    if args.quiet and not args.format:
        for row in rows:
            print(row["name"])
        return 0
    table.show(args.format, _HEADER, [tuple(value or "-" for value in row.values()) for row in rows], rows)
    return 0


def _containers() -> Iterator[dict[str, str | None]]:
    for name, known in record.living().items():
        yield {
            "name": name,
            "image": known.image if known else None,
            "since": _time(known.since) if known else None,
            "until": _time(known.until) if known and known.until else None,
            "reason": known.reason if known and known.reason else None,
            "kind": "container",
        }


def _vms() -> Iterator[dict[str, str | None]]:
    for one in records.kept():
        if one.user:
            since = _time(one.since)
            yield {
                "name": one.name,
                "image": one.image,
                "since": since,
                "until": _time(one.until) if one.until else None,
                "reason": one.reason or None,
                "kind": "vm",
            }


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
