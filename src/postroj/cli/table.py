"""Lists that are printed: a table for people, columns separated by tabs or JSON for programs."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from postroj.report import printable


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add the option by which a list is asked for."""
    parser.add_argument(
        "--format",
        choices=("table", "plain", "json"),
        help="table on a terminal, otherwise plain (columns separated by tabs)",
    )


def show(form: str | None, header: Sequence[str], rows: Sequence[Sequence[str]], objects: Sequence[Any]) -> None:
    """Print rows, or as JSON the objects that they are made from."""
    chosen = form or ("table" if sys.stdout.isatty() else "plain")
    if chosen == "json":
        print(json.dumps(objects, indent=2))
        return
    cells = [[printable(cell) for cell in row] for row in rows]
    if chosen == "plain":
        for row in cells:
            print("\t".join(row))
        return
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    for row in [list(header), *cells]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
