"""How a service has ended that Restart= has brought up since, or is about to: only the journal still knows it."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from postroj.machine import Machine
from postroj.probe import evidence

# Message IDs of systemd: sd-messages(3).
_PROCESS_EXIT = "98e322203f7a4ed290d09fe03c09fe15"
_FAILURE_RESULT = "d9b373ed55a64feb8242e02dbe79a49c"
_SUCCESS = "7ad2d189f7e94e70a38c781354912448"
_LINES = 20
_INVOCATION = "INVOCATION_ID"


class End(NamedTuple):
    """The last end of a service."""

    result: str
    """Result, as in UnitState."""
    status: int = 0
    """Exit status of its main process, or the number of the signal; 0 for success, and if another process failed."""
    words: str = ""
    """The last lines that it has printed between that start and that end."""


def last_end(machine: Machine, name: str) -> End | None:
    """Return how a service has ended the last time; None if the journal does not tell."""
    evidence.ask(machine, ["journalctl", "--sync"])
    ids = [f"MESSAGE_ID={one}" for one in (_PROCESS_EXIT, _FAILURE_RESULT, _SUCCESS)]
    argv = ["journalctl", "--no-pager", "--quiet", f"--lines={_LINES}", "--output=json", f"UNIT={name}", *ids]
    entries = _entries(evidence.ask(machine, argv))
    results = [entry for entry in entries if entry.get("MESSAGE_ID") in (_FAILURE_RESULT, _SUCCESS)]
    if not results:
        return None
    run = str(results[-1].get(_INVOCATION, ""))
    result = str(results[-1].get("UNIT_RESULT", "success"))
    words = evidence.last_words(machine, name, run)
    return End(result, _status([entry for entry in entries if entry.get(_INVOCATION) == run]), words)


def _entries(shown: str) -> list[dict[str, Any]]:
    entries = []
    for line in shown.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries


def _status(entries: Sequence[dict[str, Any]]) -> int:
    """Return the exit status of the main process: the only one whose message says `Main process`."""
    for entry in reversed(entries):
        status = str(entry.get("EXIT_STATUS", ""))
        if "Main process exited" in str(entry.get("MESSAGE", "")) and status.isdecimal() and len(status) < 4:
            return int(status)
    return 0
