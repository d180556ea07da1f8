"""Phases in which the package stays as it is: restart, reload, reboot."""

import re

from postroj.errors import RebootError
from postroj.harness import steps
from postroj.harness.job import Job
from postroj.harness.life.rules import broken
from postroj.lastwords import end_of
from postroj.probe import Finding, Outcome

_MOST = 1
"""How many directories are named that a reboot has removed."""
_OF_SYSTEM = re.compile(r"/run/(?:systemd|postroj|lock|user|mount|log|dbus|udev|shm|credentials|sudo|ssh.*)")
_STARTED_BY_A_BOOT = ("enabled", "enabled-runtime", "generated", "alias")


def restart(job: Job) -> None:
    """Restart the services that run; if there are only sockets and timers, these."""
    if job.has_begun:
        job.note_failed()
    elif not steps.begin(job):
        return
    running = [one.name for one in map(job.look, job.judged) if one.state.active == "active"]
    names = [name for name in running if name.endswith(".service")] or running
    if names:
        # Whether a restart has succeeded is judged by the units.
        job.machine.system.restart(names, deadline=job.deadline)
    else:
        job.phase_notes.append("not run: no unit is active")
    steps.judge(job)


def reload(job: Job) -> None:
    """Reload the units that can be reloaded."""
    if job.has_begun:
        job.note_failed()
    elif not steps.begin(job):
        return
    looked = map(job.look, job.judged)
    names = [one.name for one in looked if one.facts.can_reload and one.state.active == "active"]
    if not names:
        job.phase_notes.append("not run: no unit that runs has an ExecReload=")
    for name in names:
        done = job.machine.system.reload(name, deadline=job.deadline)
        if done.status != 0:
            from postroj.probe import evidence, reason

            shown = evidence.of_unit(job.machine, name)
            is_systemd = job.machine.capabilities.systemd
            why = reason.of_reload(job.machine, name, job.since) if is_systemd else ""
            told = f"{'systemctl' if is_systemd else 'the'} reload fails: {why or end_of(done.output, 1)}"
            broken(job, "reload-fails", f"reload of {name}", told, shown)
    steps.judge(job)


def reboot(job: Job) -> None:
    """Reboot the machine: what is enabled has to be back, and /run is new."""
    if not job.has_begun and not steps.begin(job):
        return
    before = _in_run(job)
    try:
        job.machine.reboot(deadline=job.deadline)
    except RebootError as error:
        if not job.packages:
            raise
        job.is_over = True
        job.add(Finding("machine", Outcome.FAILED, error.what, error.why))
        return
    job.may_end |= {name for name in job.judged if not name.endswith(".service")}
    for one in map(job.look, job.units):
        job.notes[one.name] = ""
        if one.facts.enablement not in _STARTED_BY_A_BOOT and job.request.start:
            steps.start(job, one)
    steps.judge(job)
    if failed := [one for one in job.current if one.outcome is Outcome.FAILED and one.subject.startswith("unit ")]:
        for path in sorted(before - _in_run(job))[:_MOST]:
            told = f"{path} was there before the reboot, and is gone: RuntimeDirectory= or tmpfiles.d makes it again"
            job.add(failed[0]._replace(detail=f"{failed[0].detail}; {told}"))


def _in_run(job: Job) -> set[str]:
    """Return the directories in /run, but for those of the system."""
    if not job.machine.capabilities.linux:
        return set()
    argv = ["find", "/run", "-mindepth", "1", "-maxdepth", "1", "-type", "d"]
    listed = job.machine.command(argv, deadline=job.deadline).output.splitlines()
    return {path for path in listed if not _OF_SYSTEM.fullmatch(path)}
