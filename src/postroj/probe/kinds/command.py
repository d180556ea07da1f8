"""A command in the guest ends as it should, and prints what it should."""

import shlex
from typing import Annotated, NamedTuple

from postroj.deadline import Deadline
from postroj.errors import DeadlineError
from postroj.probe.judge import Scene, Seen, of, wrong_in
from postroj.probe.values import NUMBER, TEXT, Key, Numbers, Text, Timeout, numbers, text, wrong


def _argv(operator: str, written: str) -> tuple[str, ...]:
    argv = tuple(shlex.split(written))  # its ValueError is the rest of a sentence: No closing quotation
    if not argv or not argv[0]:
        raise ValueError("names no command")
    return argv


class Command(NamedTuple):
    """A command, run by the guest's root without a shell, ends with a status and prints what it should."""

    argv: Annotated[tuple[str, ...], Key(_argv, "command 'nginx -t'", "the command and its arguments, in quotes")]
    status: Annotated[
        Numbers, Key(numbers("an exit status", 0, 255), "status=0", "its exit status, 0 by default", NUMBER)
    ] = Numbers("=", "0", ((0, 0),))
    output: Annotated[
        tuple[Text, ...],
        Key(
            text, "output~='syntax is ok'", "both its streams, without the last line break; the last 256 KiB count",
            TEXT, repeatable=True,
        ),
    ] = ()  # fmt: skip
    timeout: Timeout = None

    def look(self, scene: Scene, until: Deadline) -> Seen:
        """Run it once; see Check."""
        try:
            done = scene.machine.command(self.argv, deadline=until)
        except DeadlineError as error:
            return Seen(False, f"did not end within {until.seconds or 0:.0f} s", error.why, tells_time=True)
        printed = done.output.removesuffix("\n")
        clauses = [wrong("status", self.status, done.status)]
        clauses += [wrong_in("output", expected, printed, is_cut=done.is_cut) for expected in self.output]
        return of(f"ended with status {done.status}", clauses, done.output)
