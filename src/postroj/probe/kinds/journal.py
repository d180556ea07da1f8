"""A message is, or is not, in the journal."""

from typing import Annotated, NamedTuple

from postroj.deadline import Deadline
from postroj.probe.judge import Scene, Seen, of
from postroj.probe.unit import unit_name
from postroj.probe.values import Key, Text, Timeout, text

_ALL = "all"


def _name(operator: str, written: str) -> str:
    return _ALL if written == _ALL else unit_name(written)


class Journal(NamedTuple):
    """The messages of a unit since the installation began, as they are at the end of the units' stay."""

    unit: Annotated[str, Key(_name, "journal grafana-server", "the unit, or `all` for the whole journal")]
    message: Annotated[
        tuple[Text, ...],
        Key(
            text, "message!~='panic|fatal'", "what must, or must not, be in a line; the last 256 KiB", ("~=", "!~="),
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
            return Seen(False, "journalctl(1) of the machine does not work", printed.output)
        clauses = []
        for expected in self.message:
            if not expected.fits(printed.output):
                clauses.append(f"message: expected {expected.expected()}, got {_got(expected, printed.output)}")
            elif expected.is_negated and printed.is_cut:
                clauses.append(f"message: expected {expected.expected()}, got more than 256 KiB, too much to know")
        lines = len(printed.output.splitlines())
        return of(f"{lines} lines, {'as' if lines else 'none, as'} expected", clauses, printed.output)


def _got(expected: Text, printed: str) -> str:
    lines = printed.splitlines()
    if not expected.is_negated:
        return f"none in {len(lines)} lines"
    # The line that is shown is found one by one, the last ones only: each asks a process.
    positive = Text("~=", expected.value)
    line = next((line for line in reversed(lines[-20:]) if positive.fits(line)), "")
    return repr(line[:200]) if line else "one"
