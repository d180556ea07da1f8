"""What a user wants of the machine of a probe: a shell at some moment, or that it stays."""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from postroj.cli.command_options import check_terminal
from postroj.cli.common import duration
from postroj.errors import UsageError
from postroj.harness import Attendant, Result, Verdict

if TYPE_CHECKING:
    from postroj.cli.keeper import Keeper

_KEEP_SECONDS = 3600.0
_FAILURE, _ALWAYS, _END = "failure", "always", "end"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("when it fails")
    group.add_argument(
        "--keep", nargs="?", const=_ALWAYS, choices=(_FAILURE, _ALWAYS),
        help="leave the machine running when postroj has ended, always (the default of --keep alone) or on failure: "
        "anything but a pass; see `postroj ps`, exec, shell, logs, cp and stop",
    )  # fmt: skip
    group.add_argument(
        "--keep-for", type=duration, metavar="DURATION",
        help="remove a machine that was kept after this time, such as 30m or 2d (1h)",
    )  # fmt: skip
    group.add_argument(
        "--shell", metavar="MOMENT",
        help=f"open a shell in the machine: at the first `{_FAILURE}`, at the `{_END}`, or after a phase "
        "(install, check, and those of --phase); the probe goes on when it is left",
    )  # fmt: skip


def check(args: argparse.Namespace, phases: Sequence[str]) -> None:
    """Raise UsageError for what does not go together."""
    if args.keep_for is not None and not args.keep:
        raise UsageError("--keep-for is about a machine that is kept", hint="give --keep as well")
    if args.shell is None:
        return
    if args.shell not in (_FAILURE, _END, *phases):
        raise UsageError(
            f"--shell={args.shell[:80]} is not a moment of this probe",
            hint=f"the moments are {', '.join([_FAILURE, _END, *phases])}",
        )
    check_terminal("--shell", "leave it out, or use --keep and `postroj exec`")


class Attending(Attendant):
    """Opens the shell, and has the machine kept."""

    def __init__(self, args: argparse.Namespace, report: Callable[[Result], int]) -> None:
        self._args = args
        self._report = report
        self.wants_machine = bool(args.shell or args.keep)
        self.keeper: Keeper | None = None
        self._shell_is_over = False
        self.has_reported = False

    def after_phase(self, name: str, *, passed: bool) -> None:
        """Open a shell if this is the moment."""
        if self._args.shell == name:
            self._shell(f"after {name}")
        elif self._args.shell == _FAILURE and not passed:
            self._shell(f"after {name}, as something has failed")

    def at_end(self, result: Result) -> None:
        """Open a shell if this is the moment, and keep the machine if that is wanted."""
        has_passed = result.verdict is Verdict.PASSED
        if self._args.shell == _END or (self._args.shell == _FAILURE and not has_passed):
            self._shell("at the end")
        if self.keeper and (self._args.keep == _ALWAYS or not has_passed):
            status = self._report(result)
            self.has_reported = True
            name = self.machine.name
            seconds = _KEEP_SECONDS if self._args.keep_for is None else self._args.keep_for
            until = time.strftime("%H:%M:%S", time.localtime(time.time() + seconds))
            self._args.show.note(f"the machine {name} is kept until {until}")
            self._args.show.hint(f"enter it: postroj shell {name}; remove it: postroj stop {name}")
            self.keeper.keep(self.machine, _reason(result), seconds, status)

    def _shell(self, when: str) -> None:
        if self._shell_is_over:
            return
        from postroj.cli.shell import login

        self._shell_is_over = True
        self._args.show.note(f"a shell in {self.machine.name}, {when}; leave it to go on")
        began = time.monotonic()
        # Not standard input, which may be open for reading only; nor standard output, which may be a file.
        terminal = os.open(os.ttyname(0), os.O_RDWR | os.O_NOCTTY)
        try:
            status = login(self.machine, terminal, screen=terminal, env=self.machine.proxies)
        finally:
            os.close(terminal)
            self.machine.deadline.postpone(time.monotonic() - began)
        self._args.show.note(f"the shell has ended with status {status}")


def _reason(result: Result) -> str:
    if result.error:
        return f"no verdict: {result.error.what}"[:200]
    bad = next((finding for finding in result.findings if not finding.passed), None)
    return f"not passed: {bad.subject}"[:200] if bad else "it has passed"
