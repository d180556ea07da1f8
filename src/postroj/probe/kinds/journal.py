"""A message is, or is not, in the journal."""

import re
from typing import Annotated, NamedTuple

from postroj.deadline import Deadline
from postroj.probe.judge import CannotTellError, Scene, Seen, of, wrong_in
from postroj.probe.unit import unit_name
from postroj.probe.values import Key, Text, Timeout, text

_ALL = "all"
_OF_COMMANDS = re.compile(r"postroj-[0-9]+-[0-9]+\.service|A command of postroj's")
"""What systemd says of the commands by which postroj looks."""


def _name(operator: str, written: str) -> str:
    return _ALL if written == _ALL else unit_name(written)


class Journal(NamedTuple):
    """The journal of a unit has, or has not, a message since the installation began."""

    unit: Annotated[str, Key(_name, "journal grafana-server", "the unit, or `all` for the whole journal")]
    message: Annotated[
        tuple[Text, ...],
        Key(
            text, "message!~='panic|fatal'", "what must, or must not, be in it; the last 256 KiB count", ("~=", "!~="),
            repeatable=True, required=True,
        ),
    ]  # fmt: skip
    timeout: Timeout = None

    def look(self, scene: Scene, until: Deadline) -> Seen:
        """Look once; see Check."""
        unit = [] if self.unit == _ALL else [f"--unit={self.unit}"]
        since = f"--since=@{scene.since:.6f}"
        scene.machine.command(["journalctl", "--sync"], deadline=until)
        printed = scene.machine.command(
            ["journalctl", "--no-pager", "--quiet", "--output=cat", since, *unit], deadline=until
        )
        if printed.status != 0:
            raise CannotTellError("journalctl(1) of the machine does not work", why=printed.output)
        lines = [line for line in printed.output.splitlines() if not _OF_COMMANDS.search(line)]
        clauses = []
        for expected in self.message:
            if wrong_in("message", expected, "\n".join(lines), is_cut=printed.is_cut):
                clauses.append(f"message: expected {expected.expected()}, got {_got(expected, lines)}")
        return of(f"as expected, in {_count(lines)}", clauses, "\n".join(lines))


def _count(lines: list[str]) -> str:
    return "1 line" if len(lines) == 1 else f"{len(lines)} lines"


def _got(expected: Text, lines: list[str]) -> str:
    if not expected.is_negated:
        return f"none in {_count(lines)}"
    # The line that is shown is found one by one, the last ones only: each asks a process.
    positive = Text("~=", expected.value)
    line = next((line for line in reversed(lines[-20:]) if positive.fits(line)), "")
    return repr(line[:200]) if line else "one"
