"""What is looked at after each phase without being asked for: core dumps, errors in the journal, ports."""

import re

from postroj.harness.job import Job
from postroj.harness.life.rules import broken
from postroj.probe import evidence

_LINES = 100
_MOST = 5
_LONGEST = 200


def look_around(job: Job) -> None:
    """Note what units have logged as errors, and what ports have come and gone; a core dump breaks a rule."""
    names = list(dict.fromkeys([*job.judged, *job.shipped]))
    if names:
        _find_core_dumps(job, names)
        _find_killed(job, names)
        _note_errors(job, names)
    _note_ports(job)


def _find_core_dumps(job: Job, names: list[str]) -> None:
    for name in names:
        if lines := evidence.journal(job.machine, _LINES, job.since, "_PID=1", f"UNIT={name}", "EXIT_CODE=dumped"):
            broken(job, "core-dump", f"core dump of {name}", lines[0][:_LONGEST])


def _find_killed(job: Job, names: list[str]) -> None:
    """Find units that systemd had to kill, as they have not ended in time: systemd.service(5), TimeoutStopSec=."""
    for name in names:
        lines = evidence.journal(job.machine, _LINES, job.since, "_PID=1", f"UNIT={name}")
        if told := next(filter(_KILLED.search, lines), ""):
            broken(job, "ends-when-told", f"stop of {name}", told[:_LONGEST])


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


_KILLED = re.compile(r"State '(?:stop-sigterm|final-sigterm|stop)' timed out\. (?:Killing|Terminating)")
