"""`postroj ps`: list the running machines."""

import argparse
import os

from postroj import container
from postroj.cli.common import require_root
from postroj.settings import RUNTIME_DIR


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no options: there are none."""


def handle(args: argparse.Namespace) -> int:
    """Print their names, one a line."""
    require_root()
    container.sweep()  # what is left then belongs to a living postroj
    try:
        machines = sorted(entry.name for entry in os.scandir(RUNTIME_DIR) if not entry.name.startswith("."))
    except FileNotFoundError:
        machines = []
    for name in machines:
        print(name)
    return 0
