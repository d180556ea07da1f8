"""`postroj ps`: list the running machines."""

import argparse
import os

from postroj import container, locks
from postroj.settings import RUNTIME_DIR


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no options: there are none."""
    parser.epilog = "Prints their names, one a line. Root is not needed."


def handle(args: argparse.Namespace) -> int:
    """Print their names, one a line. Root is not needed: only what a killed run has left is then not removed."""
    is_root = os.geteuid() == 0
    if is_root:
        container.sweep()  # what is left then belongs to a living postroj
    try:
        entries = [entry for entry in os.scandir(RUNTIME_DIR) if not entry.name.startswith(".")]
    except FileNotFoundError:
        entries = []
    held = frozenset() if is_root else locks.held()
    for name in sorted(entry.name for entry in entries if is_root or locks.is_held(entry.path, held)):
        print(name)
    return 0
