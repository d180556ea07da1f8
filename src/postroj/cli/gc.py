"""`postroj gc`: remove what killed runs left. What runs next does it as well."""

import argparse

from postroj import container, image
from postroj.cli.common import print_removed, require_root
from postroj.matrix import carried
from postroj.vm import sweeping


def configure(parser: argparse.ArgumentParser) -> None:
    """Add nothing but what the command does: it has no options."""
    parser.epilog = (
        "Removes the directories, cgroups and firewall rules of machines whose postroj was killed, what broken-off "
        "pulls have left, VMs that are half made, and the files of cells of a killed Dask worker; powers off "
        "VMs that run for nobody. What runs next does so as well; running machines are left alone."
    )


def handle(args: argparse.Namespace) -> int:
    """Remove it, and print what it was."""
    require_root()
    print_removed(container.sweep() + image.sweep() + carried.sweep() + sweeping.sweep_quietly())
    return 0
