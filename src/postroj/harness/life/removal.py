"""Phases in which a package goes: remove, purge; and comes back: install-again, purge-again."""

import re
from typing import TYPE_CHECKING

from postroj.errors import NotInstalledError, RemoveError
from postroj.harness import steps
from postroj.harness.job import Job, Stage
from postroj.harness.life import accounts, data, left
from postroj.harness.life.rules import broken
from postroj.probe import Finding, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from postroj.contract import Running
    from postroj.package.remove import Removed


_MOUNTS = (".mount", ".automount", ".swap")
"""Units that run no process, and may be there without any package."""
_NO_PACKAGE_S = re.compile(r"postroj-.*|session-.*\.scope")
"""Transient units in which postroj runs commands, in a VM by SSH."""


def remove(job: Job) -> None:
    """Remove the packages; their configuration may stay."""
    job.note_failed()
    units, shipped = list(job.judged), list(job.shipped)
    marked = data.mark(job, with_shipped=False) if job.family and job.family.purges_removed else []
    is_removed = _remove(job, purge=False, stage=Stage.REMOVED)
    data.check_kept(job, marked, "the removal, before any purge")
    if is_removed:
        _find_running(job, [*dict.fromkeys([*units, *shipped])])
        left.check_removed(job)
    _forget(job, [*units, *shipped])
    steps.find_failed_units(job)


def purge(job: Job) -> None:
    """Purge the packages, and purge them again."""
    if _cannot_purge(job):
        return
    if job.family and job.stage is Stage.REMOVED and not job.family.purges_removed:
        job.phase_notes.append(f"not run: {job.family.command} purges only what is installed")
        return
    job.note_failed()
    units, shipped = list(job.judged), list(job.shipped) if job.stage in (Stage.OLD, Stage.INSTALLED) else []
    if _remove(job, purge=True, stage=Stage.PURGED):
        _find_running(job, [*dict.fromkeys([*units, *shipped])])
        left.check_purged(job)
        _forget(job, [*units, *shipped])
        if why := _purge_once_more(job):
            broken(job, "purge-twice", "second purge", why)


def install_again(job: Job) -> None:
    """Install the packages on what their removal has left."""
    job.note_failed()
    steps.install_these(job, job.packages, Stage.INSTALLED)
    steps.start_units(job, is_again=True)
    steps.judge(job)


def purge_again(job: Job) -> None:
    """Remove the packages, then their users and directories as an administrator may, then purge them."""
    if _cannot_purge(job):
        return
    job.note_failed()
    units = list(job.judged)
    if job.family and job.family.purges_removed and not _remove(job, purge=False, stage=Stage.REMOVED):
        return
    gone = [*accounts.remove_new(job), *left.remove_directories(job)]
    subject = f"purge of {', '.join(job.names)}"
    removed = f"{' and '.join(gone) or 'nothing'} had been removed before"
    try:
        _do(job, purge=True)
    except RemoveError as error:
        broken(job, "purge-needs-what-is-gone", subject, f"{error.what}; {removed}", error.why)
    else:
        job.stage = Stage.PURGED
        job.add(Finding(subject, Outcome.PASSED, f"done, although {removed}"))
    _forget(job, units)


def _forget(job: Job, units: list[str]) -> None:
    """Judge units no more: their package is gone, and if one has failed, that is why."""
    job.forget(units)
    job.has_begun = False
    job.failed_before |= set(units)


def _remove(job: Job, *, purge: bool, stage: Stage) -> bool:
    """Remove the packages; returns whether that has succeeded."""
    subject = f"{'purge' if purge else 'removal'} of {', '.join(job.names)}"
    try:
        removed = _do(job, purge=purge)
    except NotInstalledError as error:
        outcome, what = Outcome.FAILED if isinstance(error, RemoveError) else Outcome.UNKNOWN, error.what
        if job.installation and not job.installation.passed:  # it may have been broken off
            outcome, what = Outcome.SKIPPED, f"not judged, because of {job.installation.subject}: {what}"
        job.add(Finding(subject, outcome, what, error.why, error.hint, error.excerpt))
        return False
    job.stage = stage
    job.add(Finding(subject, Outcome.PASSED, "done", removed.report()))
    return True


def _do(job: Job, *, purge: bool) -> "Removed":
    from postroj.package.remove import remove as remove_packages

    assert job.family
    return remove_packages(job.machine, job.family, job.installed, purge=purge, deadline=job.deadline)


def _cannot_purge(job: Job) -> bool:
    """Return whether the package manager has no purge, and say so."""
    if job.family and job.family.purges:
        return False
    job.phase_notes.append(f"not run: {job.family.command if job.family else 'it'} has no purge")
    return True


def _purge_once_more(job: Job) -> str:
    """Return why a second purge fails; empty if it does not."""
    try:
        _do(job, purge=True)
    except NotInstalledError as error:
        return error.what
    return ""


def _find_running(job: Job, units: list[str]) -> None:
    """Find units that are active although their package is gone, and processes in them."""
    processes = job.machine.processes()
    for one in map(job.look, [unit for unit in units if not unit.endswith(_MOUNTS)]):
        left_over = [process for process in processes if process.unit == one.name]
        if one.state.active in ("inactive", "failed") and not left_over:
            continue
        if one.state.active in ("inactive", "failed"):
            told = f"it has ended, and processes of it are left after the removal: {_some(left_over)}"
        else:
            told = f"is {one.state.active} ({one.state.sub}) after the removal"
            told += f": {_some(left_over)}" if left_over else ""
        broken(job, "runs-after-removal", f"unit {one.name}", told)
    _find_transient(job, processes, units)


def _find_transient(job: Job, processes: "Sequence[Running]", units: list[str]) -> None:
    """Find processes in units that no file describes, as systemd-run makes them, which came with the packages."""
    if not job.before:
        return
    for name in dict.fromkeys(process.unit for process in processes if process.unit not in job.before.running):
        if not name or name in units or _NO_PACKAGE_S.fullmatch(name):
            continue
        if job.look(name).facts.enablement == "transient":
            running = [process for process in processes if process.unit == name]
            told = f"a transient unit, as by systemd-run(1), runs on after the removal: {_some(running)}"
            broken(job, "runs-after-removal", f"unit {name}", told)


def _some(processes: "Sequence[Running]") -> str:
    return ", ".join(f"{process.name} (PID {process.pid})" for process in processes[:3])
