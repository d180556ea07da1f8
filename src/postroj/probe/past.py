"""How a service has ended that Restart= has brought up since, or is about to: only the journal still knows it."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from postroj.contract import Machine
from postroj.family.reason import cut
from postroj.probe import evidence

# Message IDs of systemd: sd-messages(3).
_PROCESS_EXIT = "98e322203f7a4ed290d09fe03c09fe15"
_FAILURE_RESULT = "d9b373ed55a64feb8242e02dbe79a49c"
_SUCCESS = "7ad2d189f7e94e70a38c781354912448"
_LINES, _WORDS = 20, 200
_INVOCATION, _OF_PROCESS = "INVOCATION_ID", "_SYSTEMD_INVOCATION_ID"
_FIELDS = ("UNIT", "MESSAGE", "MESSAGE_ID", "EXIT_STATUS", "UNIT_RESULT", _INVOCATION, _OF_PROCESS)

NOT_DONE = tuple(f"JOB_RESULT={result}" for result in ("failed", "dependency", "timeout", "assert"))
"""What journalctl finds starts by that systemd has not done."""


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
    entries = _entries(machine, _LINES, [f"UNIT={name}", *ids])
    results = [entry for entry in entries if entry.get("MESSAGE_ID") in (_FAILURE_RESULT, _SUCCESS)]
    if not results:
        return None
    run = str(results[-1].get(_INVOCATION, ""))
    result = str(results[-1].get("UNIT_RESULT", "success"))
    status = _status([entry for entry in entries if entry.get(_INVOCATION) == run])
    return End(result, status, _words(machine, name, run))


def failed_jobs(machine: Machine, since: float) -> list[str]:
    """Return the units that systemd could not start since a point of time.time(), the newest first."""
    entries = _entries(machine, _LINES, [f"--since=@{since:.6f}", *NOT_DONE])
    return list(dict.fromkeys(str(entry["UNIT"]) for entry in reversed(entries) if entry.get("UNIT")))


def _words(machine: Machine, name: str, run: str) -> str:
    """Return what a service has printed during one start.

    Of a process that ends at once the journal may know its unit, and not its start. The present one it knows.
    """
    printed = _entries(machine, _WORDS, [f"_SYSTEMD_UNIT={name}"])
    lines = [_message(entry) for entry in printed if entry.get(_OF_PROCESS, run) == run]
    return "\n".join(line for line in lines if line.strip())


def _message(entry: dict[str, Any]) -> str:
    """Return a line that was printed; with control characters it is a list of bytes: journalctl(1), json."""
    message = entry.get("MESSAGE")
    if isinstance(message, list):
        message = bytes(one for one in message if isinstance(one, int) and 0 <= one < 256).decode(errors="replace")
    return "\n".join(cut(str(message or "")))


def _entries(machine: Machine, lines: int, matches: Sequence[str]) -> list[dict[str, Any]]:
    """Return the last entries of the journal that match, with the fields that are of use, the oldest first."""
    argv = ["journalctl", "--no-pager", "--quiet", "--all", f"--lines={lines}", "--output=json"]
    entries = []
    for line in evidence.ask(machine, [*argv, f"--output-fields={','.join(_FIELDS)}", *matches]).splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):  # whatever its journalctl prints
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
