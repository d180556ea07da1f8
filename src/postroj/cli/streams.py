"""The streams of a command in a guest, made of those of postroj."""

import os
import stat
from contextlib import ExitStack
from typing import TYPE_CHECKING

from postroj.cli.output import error_of

if TYPE_CHECKING:
    from postroj.streams import Streams


def passed(interactive: bool, stack: ExitStack) -> "Streams":
    """Return the command's streams: those of postroj, with a pipe in place of a terminal.

    A guest's root could type into a terminal that it holds (TIOCSTI).
    """
    from postroj.capture import fed_from
    from postroj.streams import Streams

    stdin: int | None = 0
    if os.isatty(0):
        stdin = stack.enter_context(fed_from(0)) if interactive else None
    return Streams(stdin, _sink(1, stack), _sink(2, stack))


def _sink(fd: int, stack: ExitStack) -> int:
    from postroj.capture import sink_into

    # What is a file belongs to a user whom the guest does not have, and who could not open it as /dev/stdout.
    if not os.isatty(fd) and not stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    failed: list[OSError] = []

    def write(chunk: bytes) -> None:
        try:
            while chunk:
                chunk = chunk[os.write(fd, chunk) :]
        except OSError as error:
            failed.append(error)
            raise

    def check(kind: object, *_: object) -> None:
        if failed and kind is None:  # the command cannot know
            raise error_of(fd, failed[0])

    stack.push(check)
    return stack.enter_context(sink_into(write))
