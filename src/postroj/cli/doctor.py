"""`postroj doctor`: what of the host is fit, what is missing, and the exact command that mends it."""

import argparse
import sys

from postroj.cli.show import paint
from postroj.doctor import Level, examine

_COLOURS = {Level.OK: "green", Level.NOTE: "bold", Level.BAD: "red"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add nothing but what the exit status means: the command has no options."""
    parser.epilog = "exit status: 0 if this host can run machines, 3 if it cannot"


def handle(args: argparse.Namespace) -> int:
    """Print what was found; 3 where something that is needed is missing."""
    fit = True
    for check in examine():
        fit = fit and check.level is not Level.BAD
        print(f"{paint(check.level.value.ljust(4), _COLOURS[check.level], sys.stdout)}  {check.what}")
        if check.mend:
            print(f"        {check.mend}")
    print("ready" if fit else "not ready: fix the items marked `bad`")
    return 0 if fit else 3
