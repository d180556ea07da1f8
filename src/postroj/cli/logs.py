"""`postroj logs`: the journal of a machine that runs."""

import argparse
import re
from contextlib import ExitStack

from postroj.cli import streams
from postroj.cli.common import out_of_range, require_root
from postroj.container.attached import Attached
from postroj.errors import UsageError


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
    with Attached(args.name) as machine, ExitStack() as stack:
        given = streams.passed(interactive=False, stack=stack)._replace(stdin=None)
        return machine.run([*words, *(["--follow"] if args.follow else [])], given)


def _lines(text: str) -> str:
    if text != "all" and not re.fullmatch("[0-9]{1,9}", text):
        raise out_of_range(text, "a number of lines", "0", "999999999, or all")
    return text
