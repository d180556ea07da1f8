"""What is shown while cells run: a live board on a terminal, lines elsewhere, folded as the CI system folds."""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from postroj.cli.show import paint
from postroj.matrix.outcome import Outcome
from postroj.matrix.run import Listener
from postroj.matrix.text import block
from postroj.plan.cells import Cell
from postroj.plan.wording import counted
from postroj.report import printable
from postroj.report.github import group, harmless

if TYPE_CHECKING:
    from rich.text import Text


_WARNING = "warning: "


class Lines:
    """Prints a line when a cell begins, and a block when it ends, to standard error."""

    def __init__(self, args: argparse.Namespace, all_of: int) -> None:
        self._args = args
        self._all = all_of
        self._ended = 0
        self._pulling = ""
        self._warned: set[str] = set()

    def pulling(self, image: str, line: str) -> None:
        """Say once for each image that it is pulled; all of it with -v."""
        if image != self._pulling and not line.startswith("ok "):
            self._print(f"{image}: pulling", 0)
        self._pulling = image
        self._print(f"{image}| {line}", 1)

    def started(self, cell: Cell) -> None:
        """Say so."""
        self._print(f"{cell.name}: running", 0)

    def doing(self, cell: Cell, line: str) -> None:
        """Say it with -v; a warning also without, once if cells have the same."""
        is_new = line.startswith(_WARNING) and line not in self._warned
        if is_new:
            self._warned.add(line)
        self._print(f"{cell.name}| {line}", 0 if is_new else 1)

    def ended(self, outcome: Outcome, *, again: bool) -> None:
        """Print what came of it."""
        self._ended += not again
        if self._args.quiet:  # the reports tell it
            return
        how = f"[{self._ended}/{self._all}] "
        told = list(
            block(outcome, lambda text, colour: paint(text, colour, sys.stderr), verbose=self._args.verbose > 0)
        )
        if again:
            told = [f"{told[0]}: trying again"]
        first, *others = told
        self.show(f"{how}{first}", others)

    def show(self, first: str, others: Sequence[str]) -> None:
        """Print a block."""
        for line in (first, *others):
            self._print(line, 0)

    def _print(self, line: str, verbosity: int) -> None:
        if (-1 if self._args.quiet else self._args.verbose) >= verbosity:
            print(harmless(line), file=sys.stderr, flush=True)


class _Folded(Lines):
    """Blocks that a CI system folds."""

    def __init__(self, args: argparse.Namespace, all_of: int, kind: str) -> None:
        super().__init__(args, all_of)
        self._kind = kind

    def show(self, first: str, others: Sequence[str]) -> None:
        """Print a block so that its first line is seen, and the others are folded below it."""
        if not others:
            super().show(first, others)
            return
        key = f"postroj_{self._ended}_{time.monotonic_ns()}"
        begin, end = {
            "github": (group(harmless(first)), "::endgroup::"),
            "gitlab": (
                f"\033[0Ksection_start:{time.time():.0f}:{key}[collapsed=true]\r\033[0K{first}",
                f"\033[0Ksection_end:{time.time():.0f}:{key}\r\033[0K",
            ),
        }[self._kind]
        print(begin, *map(harmless, others), end, sep="\n", file=sys.stderr, flush=True)


class _Live(Lines):
    """A board that is drawn again and again: what each cell does that runs."""

    def __init__(self, args: argparse.Namespace, all_of: int) -> None:
        super().__init__(args, all_of)
        from rich.console import Console
        from rich.live import Live

        self._running: dict[str, tuple[float, str]] = {}
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=4, get_renderable=self._drawn, transient=True)

    def __enter__(self) -> "_Live":
        self._live.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.__exit__(None, None, None)

    def pulling(self, image: str, line: str) -> None:
        """Show it on the board."""
        self._pulling = f"{image}: {line}"

    def started(self, cell: Cell) -> None:
        """Show it on the board."""
        self._running[cell.name] = (time.monotonic(), "")

    def doing(self, cell: Cell, line: str) -> None:
        """Show it on the board."""
        if cell.name in self._running:
            self._running[cell.name] = (self._running[cell.name][0], line)
        if line.startswith(_WARNING):
            super().doing(cell, line)

    def ended(self, outcome: Outcome, *, again: bool) -> None:
        """Print what came of it above the board."""
        self._running.pop(outcome.cell.name, None)
        super().ended(outcome, again=again)

    def _print(self, line: str, verbosity: int) -> None:
        from rich.text import Text

        if (-1 if self._args.quiet else self._args.verbose) >= verbosity:
            self._console.print(Text.from_ansi(line), soft_wrap=True)

    def _drawn(self) -> "Text":
        from rich.text import Text

        width = self._console.width
        now = time.monotonic()
        told = [f"{self._ended} of {counted(self._all, 'cell')} ended, {len(self._running)} running"]
        if self._pulling and len(self._running) < 2:
            told.append(self._pulling)
        room = max(1, self._console.height - len(told) - 2)
        for name, (began, doing) in list(self._running.items())[:room]:
            told.append(f"{now - began:4.0f} s  {name}  {doing}")
        return Text("\n".join(printable(line)[: max(1, width - 1)] for line in told), no_wrap=True)


@contextmanager
def open_board(args: argparse.Namespace, cells: Sequence[Cell]) -> Iterator[Listener]:
    """Show what happens inside the block as fits where standard error goes."""
    count = len(cells)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        yield _Folded(args, count, "github")
    elif os.environ.get("GITLAB_CI") == "true":
        yield _Folded(args, count, "gitlab")
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and args.verbose < 1 and not args.quiet:
        with _Live(args, count) as board:
            yield board
    else:
        yield Lines(args, count)
