"""`postroj logs`: the journal of a machine that runs."""

import argparse
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING

from postroj.cli import streams
from postroj.cli.common import out_of_range, require_root
from postroj.cli.entering import attached
from postroj.deadline import Deadline
from postroj.errors import UsageError
from postroj.events import Warn, emit
from postroj.nearest import did_you_mean

if TYPE_CHECKING:
    from postroj.cli.entering import AnyAttached

_SECONDS = 60.0
_MOST_UNITS = 2000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = "It is the guest's journalctl that prints: more of it by `postroj exec NAME journalctl …`."
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is logged from now on")
    parser.add_argument(
        "-n", "--tail", "--lines", type=_lines, default="all", metavar="N", help="the last N lines only"
    )
    parser.add_argument(
        "-u", "--unit", action="append", default=[], metavar="UNIT", help="of this unit only, or of a glob; repeatable"
    )
    parser.add_argument("name", metavar="MACHINE", help="the machine's name, as `postroj ps` lists it")


def handle(args: argparse.Namespace) -> int:
    """Print it."""
    require_root()
    if any(not unit or "\0" in unit for unit in args.unit):
        raise UsageError("a unit has a name")
    words = ["journalctl", "--no-pager", "--quiet", f"--lines={args.tail}", *(f"--unit={unit}" for unit in args.unit)]
    with attached(args.name) as machine, ExitStack() as stack:
        given = streams.passed(interactive=False, stack=stack)._replace(stdin=None)
        for unit in args.unit:
            _tell_missing(machine, unit)
        return machine.run([*words, *(["--follow"] if args.follow else [])], given)


def _tell_missing(machine: "AnyAttached", unit: str) -> None:
    """Warn of a unit that does not exist and never did: journalctl says nothing of it."""
    from postroj.probe.unit import unit_name

    if any(letter in unit for letter in "*?["):
        return
    try:
        name = unit_name(unit)
    except UsageError:  # a path, of which journalctl makes a unit's name
        return
    logged = machine.command(["journalctl", "--quiet", "--lines=1", f"--unit={name}"], deadline=Deadline(_SECONDS))
    with machine.watch_unit(name) as watch:
        is_there = watch.state().load != "not-found"
    if is_there or logged.output.strip():
        return
    listed = machine.command(
        ["systemctl", "list-units", "--all", "--full", "--plain", "--no-legend", "--no-pager"],
        deadline=Deadline(_SECONDS),
    ).output
    near = did_you_mean(name, [line.split()[0] for line in listed.splitlines()[:_MOST_UNITS] if " loaded " in line])
    emit(Warn(f"the unit {name} does not exist, and has logged nothing{f': {near}' if near else ''}"))


def _lines(text: str) -> str:
    if text != "all" and not re.fullmatch("[0-9]{1,9}", text):
        raise out_of_range(text, "a number of lines", "0", "999999999, or all")
    return text
