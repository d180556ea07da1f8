"""`postroj gc`: remove what killed runs left. Every start of a machine does it as well."""

import argparse

from postroj import container, image
from postroj.cli.common import require_root


def configure(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the command has no options."""


def handle(args: argparse.Namespace) -> int:
    """Remove it, and print what it was."""
    require_root()
    removed = container.sweep() + image.sweep()
    for what in removed:
        print(f"removed {what}")
    if not removed:
        print("nothing to remove")
    return 0
