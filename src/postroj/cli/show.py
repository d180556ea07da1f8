"""What is printed on the way: events, errors and colours. All of it goes to standard error."""

import argparse
import errno
import os
import sys
from contextlib import AbstractContextManager, suppress
from typing import TextIO

from postroj import events, interrupts
from postroj.cli import output
from postroj.errors import PostrojError
from postroj.report import printable

_CODES = {"green": "32", "red": "31", "yellow": "33", "bold": "1"}


def paint(text: str, colour: str, stream: TextIO) -> str:
    """Colour a text where the stream is a terminal and NO_COLOR (no-color.org) is not set."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"\033[{_CODES[colour]}m{text}\033[0m"


def from_system(error: OSError) -> PostrojError:
    """Return an error of the operating system as a PostrojError."""
    if error.filename in output.NAMES.values():
        return PostrojError(f"{error.filename} cannot be written: {error.strerror}")
    if error.errno == errno.ENOENT and not error.filename and not _has_directory():
        return PostrojError("the current directory has been deleted", hint="change to another one")
    where = f": {error.filename}" if error.filename else ""
    hint = ""
    if error.errno == errno.ENOSPC:
        hint = "free some space where it writes to; POSTROJ_STATE_DIR and POSTROJ_DOWNLOADS_DIR can be moved"
    elif error.errno in (errno.EACCES, errno.EPERM):
        hint = "run it as root"
    return PostrojError(f"{error.strerror or error}{where}", hint=hint)


def _has_directory() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def as_postroj_error(error: Exception) -> PostrojError:
    """Return any error as one of ours."""
    if isinstance(error, PostrojError):
        return error
    if isinstance(error, OSError):
        return from_system(error)
    hint = "this is a bug in postroj: please report it with the output of -vv"
    return PostrojError(f"internal error: {type(error).__name__}: {error}", hint=hint)


class Show:
    """Shows events as far as the user wants to see them, and errors."""

    def __init__(self) -> None:
        self._verbosity = 0
        self._error_status: int | None = None
        self.live: events.Listener | None = None
        """Shows events instead, on a line of its own, unless more is asked for."""
        self._doing = ""

    def configure(self, args: argparse.Namespace) -> None:
        """Take the options that all commands have; `error_status` is for commands that have one for all errors."""
        self._verbosity = -1 if args.quiet else args.verbose
        self._error_status = getattr(args, "error_status", None)
        args.show = self

    def listening(self) -> AbstractContextManager[None]:
        """Show events inside the block."""
        return events.subscribed(self._event)

    def status_of(self, error: Exception) -> int:
        """Return the exit status for an error."""
        if self._error_status is not None:
            return self._error_status
        return error.status if isinstance(error, PostrojError) else 3

    def error(self, error: PostrojError) -> None:
        """Show an error: what happened, why, and what to do next."""
        self._print(f"{paint('postroj:', 'red', sys.stderr)} {printable(error.what)}")
        for line in error.why.splitlines():
            self._print(f"  | {printable(line)}")
        if error.hint:
            self._print(f"  {printable(error.hint)}")

    def interrupted(self, signal_name: str) -> None:
        """Say that a signal has ended a command that had a machine, and what it was about to do."""
        doing = f" (last step: {self._doing})" if self._doing else ""
        self._print(f"postroj: interrupted by {signal_name}{printable(doing)}: no verdict; the machine is removed")

    def note(self, what: str) -> None:
        """Show what the user has to know whatever is asked for."""
        self._print(f"{paint('postroj:', 'bold', sys.stderr)} {printable(what)}")

    def hint(self, text: str) -> None:
        """Show what to do next."""
        self._print(f"  {printable(text)}")

    def unexpected_error(self, error: Exception) -> None:
        """Show an error of the operating system for which postroj has no sentence of its own, or a bug in postroj."""
        self.error(as_postroj_error(error))
        self._traceback()

    def _traceback(self) -> None:
        if self._verbosity >= 2:
            import traceback

            self._print(traceback.format_exc())

    def _event(self, event: events.Event) -> None:
        if isinstance(event, events.Step) and not interrupts.has_come():
            self._doing = event.text
        if self.live and self._verbosity < 1:
            self.live(event)
        elif isinstance(event, events.Warn):
            self._print(f"{paint('warning:', 'yellow', sys.stderr)} {printable(event.text)}")
        elif isinstance(event, events.Step) and self._verbosity >= 0:
            self._print(printable(f"{event.subject}: {event.text}"))
        elif isinstance(event, events.Output) and self._verbosity >= 1:
            self._print(printable(f"{event.subject}| {event.line}"))
        elif isinstance(event, events.Debug) and self._verbosity >= 2:
            for line in event.text.splitlines():
                self._print(printable(line))

    def _print(self, text: str) -> None:
        with suppress(OSError):  # nobody may be there to read it any more
            print(text, file=sys.stderr, flush=True)
