"""What is looked at after each phase without being asked for: core dumps, errors in the journal, ports."""

import re
from collections.abc import Sequence

from postroj.harness.job import Job
from postroj.harness.life.rules import broken
from postroj.probe import evidence

_LINES = 100
_MOST = 5
_LONGEST = 200
_DUMPED = re.compile(r"process exited, code=dumped")
_CRASHED = "a process of it has crashed"
_IGNORES = "it does not end of the signal that stops it, within TimeoutStopSec=, and is killed"
_STOPS_LONG = "its ExecStop= or ExecStopPost= does not end within TimeoutStopSec="
_KILLED = re.compile(r"State '(?:stop-sigterm|final-sigterm|stop)' timed out\. (?:Killing|Terminating)")
_HANGS = re.compile(r"Stopping timed out\. |State 'stop-post' timed out\. ")


def look_around(job: Job) -> None:
    """Note what units have logged as errors, and what ports have come and gone.

    A core dump breaks a rule, and so does a unit that systemd had to kill, as it has not ended in time:
    systemd.service(5), TimeoutStopSec=.
    """
    names = job.seen = list(dict.fromkeys([*job.judged, *job.shipped, *job.seen]))  # a removal forgets its units
    if names and job.machine.capabilities.systemd:
        units = (f"UNIT={name}" for name in names)
        said = evidence.journal(job.machine, _LINES * len(names), job.since, "_PID=1", *units)
        _find(job, "core-dump", "core dump of", _DUMPED, _CRASHED, names, said)
        _find(job, "ends-when-told", "stop of", _KILLED, _IGNORES, names, said)
        _find(job, "ends-when-told", "stop of", _HANGS, _STOPS_LONG, names, said)
        _note_errors(job, names)
    _note_ports(job)


def _find(
    job: Job, rule: str, what: str, pattern: re.Pattern[str], why: str, names: Sequence[str], said: Sequence[str]
) -> None:
    """Find the units of which systemd says what breaks a rule, by the first line that does."""
    for name in names:
        of_unit = (line for line in said if line.startswith(f"{name}: "))
        if told := next(filter(pattern.search, of_unit), ""):
            broken(job, rule, f"{what} {name}", f"{why}; systemd says: {told[:_LONGEST]}")


def _note_errors(job: Job, names: list[str]) -> None:
    units = (f"_SYSTEMD_UNIT={one}" for one in names)
    logged = evidence.journal(job.machine, _LINES, job.since, "--priority=err", *units)
    lines = list(dict.fromkeys(line[:_LONGEST] for line in logged if line.strip()))
    job.phase_notes += [f"error in the journal: {line}" for line in lines[:_MOST]]
    if len(lines) > _MOST:
        job.phase_notes.append(f"and {len(lines) - _MOST} more errors in the journal")


def _note_ports(job: Job) -> None:
    # A link has another address after each boot.
    listeners = [one for one in job.machine.listeners() if not one.address.startswith("fe80:")]
    now = {(one.protocol, one.address, one.port) for one in listeners}
    if job.ports is not None:
        for what, some in (("listens now", now - job.ports), ("listens no more", job.ports - now)):
            if some:
                told = ", ".join(f"{protocol} {address}:{port}" for protocol, address, port in sorted(some)[:_MOST])
                job.phase_notes.append(f"{what}: {told}")
    job.ports = now
