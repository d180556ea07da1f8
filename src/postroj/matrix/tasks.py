"""Cells become tasks: what each runs, where its logs go, and what is carried to another host."""

import os
import secrets
from collections.abc import Sequence

from postroj.errors import UsageError
from postroj.harness.request import TOTAL_SECONDS
from postroj.matrix.job import Job
from postroj.matrix.run import Task
from postroj.plan.cells import Cell, Cells
from postroj.plan.command import command

_MOST_CARRIED = 1 << 30


def make(cells: Sequence[Cell], plan: Cells, *, artifacts: str = "", carry: bool = False) -> list[Task]:
    """Return the tasks of cells. Raises UsageError, DownloadError.

    `artifacts` is the directory for logs, of which each cell has a part. With `carry`, the files that a cell needs go
    with it.
    """
    return [_task(cell, plan, artifacts, carry) for cell in cells]


def _task(cell: Cell, plan: Cells, artifacts: str, carry: bool) -> Task:
    options = plan.options(cell)
    baggage = _Baggage()
    words = command(cell, options, baggage.place) if carry else command(cell, options)
    words.append("--report=json")
    if artifacts:
        words.append(f"--artifacts={directory(cell, artifacts)}")
    seconds = options["timeout"].value if "timeout" in options else TOTAL_SECONDS
    marker = baggage.marker if baggage.files else ""
    return Task(cell, Job(cell.name, words, seconds, baggage.files, marker), plan.allowed(cell))


def directory(cell: Cell, artifacts: str) -> str:
    """Return the directory for the logs of a cell: its name, with slashes for colons, which CI takes for no name."""
    return os.path.join(artifacts, *cell.name.split(":"))


class _Baggage:
    """Files that are carried to where a cell runs."""

    def __init__(self) -> None:
        self.marker = f"files-of-{secrets.token_hex(8)}"
        self.files: dict[str, bytes] = {}

    def place(self, path: str) -> str:
        """Take a file along, and return its path where the cell runs."""
        name = f"{len(self.files)}/{os.path.basename(path)}"
        try:
            with open(path, "rb") as file:
                self.files[name] = file.read(_MOST_CARRIED)
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
        return os.path.join(self.marker, name)
