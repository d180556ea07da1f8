"""`--report`: which reports are written, and where to."""

import argparse
import os
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, TextIO

from postroj.cli.output import NAMES
from postroj.cli.show import paint
from postroj.errors import HostError, PostrojError, UsageError
from postroj.events import Warn, emit
from postroj.report import FORMATS, check_file, check_format, render, write_text

if TYPE_CHECKING:
    from postroj.harness import Result


class Target(NamedTuple):
    """A report that is wanted."""

    format: str
    file: str = ""
    """Empty for a standard stream."""
    fd: int = 1
    """That of the stream: 1 or 2."""
    is_asked_for: bool = True
    """Whether the user has named it, and it is not one of those that are written by default."""

    @property
    def place(self) -> str:
        """What to call the place that it is written to."""
        return self.file or NAMES[self.fd]


class View(NamedTuple):
    """What reports show: of one result, or of many cells."""

    render: Callable[[str], str]
    """Return a report, by the name of its format."""
    lines: Callable[[TextIO], Iterable[str]]
    """Return the text as it is printed to a stream."""
    summary: Callable[[], str]
    """Return the summary of a step in GitHub's Markdown."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument(
        "--report", action="append", default=[], metavar="FORMAT[=FILE]",
        help=f"a report: {', '.join(FORMATS)}; to FILE, or one of them to standard output, where it takes the place "
        "of the text; repeatable; see docs/reports.md",
    )  # fmt: skip


def read(texts: Sequence[str], *, artifacts: str = "", formats: Collection[str] = FORMATS) -> list[Target]:
    """Return the reports to write, and see that they can be, as far as can be told before. Raises UsageError.

    The text goes to standard output unless another report does. On GitHub Actions annotations are added to it; if
    another report is on standard output, they go to standard error, which the runner reads as well. The directory
    `artifacts`, unless it is empty, gets a text and a JSON report.
    """
    kept = [Target(format, os.path.join(os.path.abspath(artifacts), f"report.{suffix}"))
            for format, suffix in (("text", "txt"), ("json", "json")) if artifacts]  # fmt: skip
    asked = [_target(text, formats) for text in texts]
    for target in asked:
        if artifacts and target.file and _has(target.file, artifacts):
            raise UsageError(f"{target.file} is a directory: --artifacts makes it", hint="name a file in it")
    first: dict[str, Target] = {}
    for target in asked:
        other = first.setdefault(target.place, target)
        if other is not target and (target.file or {other.format, target.format} != {"text", "github"}):
            what = f"the reports {other.format} and {target.format} would both be written to {target.place}"
            raise UsageError(what, hint="name another file: --report=FORMAT=FILE")
    has_other = any(not target.file and target.fd == 1 and target.format != "github" for target in asked)
    by_default = [] if has_other else [Target("text", is_asked_for=False)]
    if os.environ.get("GITHUB_ACTIONS") == "true" and not any(target.format == "github" for target in asked):
        by_default.append(Target("github", fd=2 if has_other else 1, is_asked_for=False))
    return [*by_default, *asked, *kept]


def keep_apart(targets: Sequence[Target], files: Iterable[str]) -> None:
    """Raise UsageError if a report would take the place of one of these files, which are to be read."""
    read = {os.path.realpath(file) for file in files if os.path.isfile(file)}
    for target in targets:
        if target.file in read:
            raise UsageError(f"the report {target.format} would overwrite {target.file}", hint="name another file")


def _target(text: str, formats: Collection[str]) -> Target:
    format, separator, file = text.partition("=")
    check_format(format, formats)
    if separator and not file:
        raise UsageError(f"--report={text} has no name of a file")
    if not file or file == "-":
        return Target(format)
    if fd := _stream(file):
        return Target(format, fd=fd)
    check_file(file)
    is_special = os.path.exists(file) and not os.path.isfile(file)  # of /dev/fd/3 realpath gives no path
    return Target(format, os.path.abspath(file) if is_special else os.path.realpath(file))


def _has(directory: str, path: str) -> bool:
    """Return whether a path is a directory, or below it, whether there is one or not."""
    return os.path.commonpath([directory, os.path.realpath(path)]) == directory


def _stream(file: str) -> int:
    """Return the descriptor of the standard stream that a file is, such as /dev/stdout; 0 if it is none of them."""
    for fd in (1, 2):
        with suppress(OSError):
            if os.path.samestat(os.stat(file), os.fstat(fd)):
                return fd
    return 0


def write(targets: Sequence[Target], result: "Result", args: argparse.Namespace) -> bool:
    """Write reports of a result; return whether all of them could be. What could not is shown."""

    def lines(stream: TextIO) -> Iterable[str]:
        from postroj.report.text import lines

        return lines(result, lambda text, colour: paint(text, colour, stream), verbose=args.verbose > 0)

    def summary() -> str:
        from postroj.report.github import summary

        return summary(result)

    return write_view(targets, View(lambda format: render(result, format), lines, summary), args)


def write_view(targets: Sequence[Target], view: View, args: argparse.Namespace) -> bool:
    """Write reports; return whether all of them could be. What could not is shown."""
    is_on_github = any(target.format == "github" for target in targets)
    try:
        for target in targets:
            if not target.file:
                _print(target, view, is_on_github=is_on_github)
    finally:
        failed = [target.file for target in targets if target.file and not _write(target, view, args)]
        if is_on_github and (summary := os.environ.get("GITHUB_STEP_SUMMARY")):
            _append_summary(summary, view)
    return not failed


def _print(target: Target, view: View, *, is_on_github: bool) -> None:
    stream = sys.stdout if target.fd == 1 else sys.stderr
    if target.format == "text":
        for line in view.lines(stream):
            if is_on_github:
                from postroj.report.github import harmless

                line = harmless(line)
            print(line, file=stream)
    else:
        stream.flush()
        stream.buffer.write(view.render(target.format).encode())  # in UTF-8, in whatever locale
    stream.flush()


def _write(target: Target, view: View, args: argparse.Namespace) -> bool:
    try:
        write_text(view.render(target.format), target.file)
    except (OSError, PostrojError) as error:
        why = error.strerror if isinstance(error, OSError) else error.what
        args.show.error(HostError(f"the report {target.file} cannot be written: {why}"))
        return False
    return True


def _append_summary(file: str, view: View) -> None:
    try:
        with open(file, "a", encoding="utf-8") as stream:
            stream.write(view.summary())
    except OSError as error:
        emit(Warn(f"the summary of the step cannot be written: {error.strerror}: {file}"))
