"""`postroj test`: many cells at once, from a plan or without one."""

import argparse
import errno
import glob
import os
import re
import shlex
import time
from collections.abc import Iterator, Sequence
from typing import TextIO

import msgspec

from postroj.cli import output, plan_options, reports
from postroj.cli.board import open_board
from postroj.cli.common import require_root
from postroj.cli.show import paint
from postroj.errors import PostrojError, UsageError
from postroj.events import Warn, emit
from postroj.harness.artifacts import check, clear, prepare
from postroj.image import store
from postroj.matrix import executors, room, tasks
from postroj.matrix.history import History
from postroj.matrix.outcome import Summary
from postroj.matrix.reports import FORMATS, github_summary
from postroj.matrix.run import Matrix, Settings
from postroj.matrix.text import lines
from postroj.plan import listing
from postroj.plan.cells import Cell, Cells
from postroj.plan.file import find, read
from postroj.plan.images import is_called
from postroj.plan.model import Plan
from postroj.plan.select import looks_like_one
from postroj.plan.wording import counted
from postroj.report import printable

_EPILOG = """exit status:
  0  all cells have passed, but for those that may fail
  1  a package has failed in some cell
  2  wrong usage, or a mistake in the plan, reported before anything boots
  3  no package has failed, but for some cells there is no verdict
  129, 130, 131, 143  ended by SIGHUP, Ctrl-C, SIGQUIT or SIGTERM; what is done by then is reported

examples:
  postroj test dist/                       each package in each supported image that installs it
  postroj test --init                      write postroj.toml for what is here
  postroj test 'debian-*:*' --failed       of the plan's cells those that did not pass last time
"""
_SHARD = re.compile("([1-9][0-9]{0,3})/([1-9][0-9]{0,3})")
_NONE_HAS_FAILED = "no cell of these has failed when it last ran"
_INIT_FILE = "postroj.toml"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "words", nargs="*", metavar="PACKAGE|CELL",
        help="packages: files, directories, globs, URLs, names; by default those of the plan. Or cells of the plan: "
        "IMAGE[:PACKAGE[:VARIANT]], each a glob",
    )  # fmt: skip
    parser.add_argument("--plan", metavar="FILE", help="the plan, by default postroj.toml, or pyproject.toml with one")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--init", action="store_true", help="write a postroj.toml with comments, and end")
    what.add_argument(
        "--list", nargs="?", const="text", choices=listing.FORMATS, metavar="FORMAT",
        help="list the cells and end; as text, json, or github or gitlab for a job for each cell",
    )  # fmt: skip
    what.add_argument("--explain", metavar="CELL", help="say what the options of cells are and where each was set")
    parser.add_argument("--failed", action="store_true", help="only cells that did not pass when they last ran")
    parser.add_argument("--shard", type=_shard, metavar="K/N", help="only the Kth of N equal parts of the cells")
    parser.add_argument(
        "--order", choices=("slowest", "plan"), default="slowest",
        help="which cells begin: the slowest of the last run (default), or the first of the plan",
    )  # fmt: skip
    parser.add_argument(
        "--executor",
        default="",
        metavar="ADDRESS",
        help="run the cells on a Dask cluster: dask://SCHEDULER:8786, or dask+tls://SCHEDULER:8786",
    )
    plan_options.add(parser)
    parser.add_argument(
        "--check", nargs="?", const="", action="append", default=[], metavar="CHECK",
        help="alone: see that the plan is right, and end. With a value: a check, as of `postroj pkgprobe`; repeatable",
    )  # fmt: skip


def handle(args: argparse.Namespace) -> int:
    """Run the cells, or tell of them."""
    selectors = [word for word in args.words if _is_selector(word)]
    packages = [word for word in args.words if not _is_selector(word)]
    command = plan_options.read(args)
    if packages:
        command = msgspec.structs.replace(command, packages=tuple(packages))
    if args.init:
        return _init(args.plan or _INIT_FILE, command)
    path = args.plan or find()
    plan = Cells(read(path) if path else [], command)
    if not path and not plan.value("packages"):
        raise UsageError(
            "there is no plan here: postroj.toml, or [tool.postroj] in pyproject.toml",
            hint="postroj test PACKAGE... needs none; `postroj test --init` writes one",
        )
    executors.check(args.executor)
    if args.explain:
        return _tell(listing.explain(plan, plan.select([args.explain])))
    history = History(path or ".")
    cells = _chosen(args, plan, selectors, history)
    if args.list:
        return _tell(listing.FORMATS[args.list](cells, plan))
    try:
        targets = reports.read(plan.value("report", ()), formats=FORMATS)
        files = (package.file for cell in cells for package in cell.entry.packages)
        reports.keep_apart(targets, filter(None, (path, *files)))
    except UsageError as error:
        raise plan.at("report", error) from error
    artifacts = plan.value("artifacts", "")
    try:
        for cell in cells if artifacts else ():
            check(tasks.directory(cell, artifacts))
    except UsageError as error:
        raise plan.at("artifacts", error) from error
    if "" in args.check:
        tasks.check_vms(tasks.make(cells, plan), plan)
        return _tell([f"{path or 'the command line'} is right: {counted(len(cells), 'cell')}"])
    return _run(args, plan, cells, history, targets, artifacts)


def _is_selector(word: str) -> bool:
    """Return whether a word selects cells, also if it says no more than the image, and names no package."""
    if os.path.exists(word) or ("=" in word and not looks_like_one(word.partition("=")[0])):  # name=1:2.0
        return False
    return looks_like_one(word) or ("/" not in word and not glob.glob(word) and is_called(word))


def _chosen(args: argparse.Namespace, plan: Cells, selectors: Sequence[str], history: History) -> list[Cell]:
    """Return the cells that are asked for, in the order of the plan."""
    cells = plan.select(selectors)
    if args.failed:
        if not any(map(history.has_run, cells)):
            raise UsageError("no cell has been run here yet", hint="run them all: leave --failed out")
        cells = [cell for cell in cells if history.has_failed(cell)]
    if args.shard:
        part, parts = args.shard
        cells = cells[part - 1 :: parts]
    return cells


def _run(
    args: argparse.Namespace, plan: Cells, cells: Sequence[Cell], history: History, targets: Sequence[reports.Target],
    artifacts: str,
) -> int:  # fmt: skip
    require_root()
    if artifacts:
        prepare(artifacts)
    todo = tasks.make(cells, plan, artifacts=artifacts, carry=bool(args.executor))
    if not args.executor:
        todo = tasks.on_this_host(todo, plan)
    for task in todo:
        if task.artifacts:
            clear(task.artifacts)
    if args.order == "slowest":
        order = {cell.name: number for number, cell in enumerate(history.slowest_first(cells))}
        todo.sort(key=lambda task: order[task.cell.name])
    memory = tasks.memory(todo)
    jobs = plan.value("jobs") or room.slots(memory)
    most = max(jobs, 0 if plan.value("jobs") else room.most(memory))
    settings = Settings(
        slots=len(todo) if args.executor else jobs,
        room=room.Room(most, memory) if most > jobs and not args.executor else None,
        is_remote=bool(args.executor),
        retries=plan.value("retries", 0),
        fail_fast=plan.value("fail_fast", False),
        offline=plan.value("offline", False),
    )
    began, start = time.time(), time.monotonic()
    with executors.opened(args.executor, most) as executor, open_board(args, cells) as board:
        matrix = Matrix(todo, executor, settings, board)
        outcomes = {one.cell.name: one for one in matrix.run()}
    why = matrix.why or ("" if cells or not args.failed else _NONE_HAS_FAILED)
    summary = Summary([outcomes[cell.name] for cell in cells], time.monotonic() - start, began, matrix.signal, why)
    try:
        history.note(summary.outcomes)
    except OSError as error:
        emit(Warn(f"what the cells came to is not kept, and --failed does not know of it: {error.strerror}"))
    try:
        is_written = reports.write_view(targets, _view(summary), args)
    except OSError as error:
        if not summary.signal or error.errno not in (errno.EIO, errno.EPIPE):
            raise
        output.abandon()  # the terminal has gone, and has told so by the signal
        return summary.status
    return summary.status if is_written or summary.signal else PostrojError.status


def _view(summary: Summary) -> reports.View:
    """Return what reports show of the cells."""

    def told(stream: TextIO) -> Iterator[str]:
        width = os.get_terminal_size(stream.fileno()).columns if stream.isatty() else 0
        return lines(summary, lambda text, colour: paint(text, colour, stream), width=width)

    return reports.View(lambda format: FORMATS[format](summary), told, lambda: github_summary(summary))


def _init(path: str, command: Plan) -> int:
    from postroj.plan.template import write

    if path == _INIT_FILE and (other := find()) not in ("", _INIT_FILE):
        raise UsageError(f"{other} has a plan, which {path} would take the place of", hint="name another: --plan=FILE")
    cells = write(path, command)
    images, here = {cell.image.name for cell in cells}, store.list_names()
    missing = len(images.difference(here))
    told = f"{path} is written"
    told += f": {counted(len(cells), 'cell')} in {counted(len(images), 'image')}" if cells else ""
    told += f", of which {missing} will be downloaded (name fewer in `images` for less)" if missing else ""
    named = f" --plan={shlex.quote(path)}" if path != _INIT_FILE else ""
    return _tell([f"{told}; `postroj test{named} --list` shows its cells"])


def _tell(told: Sequence[str]) -> int:
    for line in told:
        print(printable(line))
    return 0


def _shard(text: str) -> tuple[int, int]:
    match = _SHARD.fullmatch(text)
    if not match or int(match[1]) > int(match[2]):
        raise argparse.ArgumentTypeError(f"'{text[:80]}' is not a shard: write 2/5")
    return int(match[1]), int(match[2])
