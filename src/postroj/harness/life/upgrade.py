"""Phases in which a package takes the place of one: reinstall, upgrade, downgrade."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from postroj.harness import steps
from postroj.harness.job import Job, Stage
from postroj.harness.life import config, data, directories
from postroj.harness.life.rules import broken
from postroj.probe import Outcome

if TYPE_CHECKING:
    from postroj.harness.services import Left
    from postroj.package.reference import Package


def reinstall(job: Job) -> None:
    """Install the packages over themselves: while their units run, then disabled and stopped, then masked."""
    if not job.has_begun and not steps.begin(job):
        return
    edited, marked = config.edit(job), data.mark(job)
    _replace(job, job.packages, Stage.INSTALLED)
    config.tell(job, edited)
    config.check_kept(job, edited)
    data.check_kept(job, marked, "the installation over itself, which is an upgrade to its scripts")
    if not job.runs:
        return
    _replace_while(job, "disable", "stopped and disabled")
    _replace_while(job, "mask", "masked")


def upgrade(job: Job) -> None:
    """Install the earlier release and check it, on a machine as the image makes it, then the packages over it."""
    if not job.earlier:
        job.phase_notes.append("not run: no earlier release is given by --upgrade-from")
        return
    if job.stage is not Stage.OLD:
        _install_earlier(job)
    if not job.runs:
        job.doubt("the earlier release")
        return
    edited, marked = config.edit(job), data.mark(job)
    processes = {unit: job.look(unit).facts.main_pid for unit in job.judged}
    _replace(job, job.packages, Stage.INSTALLED)
    config.tell(job, edited)
    config.check_kept(job, edited)
    data.check_kept(job, marked, "the upgrade")
    for unit, pid in processes.items():
        if pid and job.look(unit).facts.main_pid == pid:
            job.phase_notes.append(f"{unit} still runs the program of the earlier release (PID {pid}): no restart")
    if job.stage is Stage.INSTALLED:
        directories.check(job)


def downgrade(job: Job) -> None:
    """Install the earlier release over the packages."""
    if not job.earlier:
        job.phase_notes.append("not run: no earlier release is given by --upgrade-from")
        return
    if not (job.family and job.family.downgrades):
        job.phase_notes.append(f"not run: {job.family.command if job.family else 'it'} does not downgrade")
        return
    _replace(job, job.earlier, Stage.OLD)
    for finding in job.current:
        if finding.outcome is Outcome.FAILED and not finding.rule:
            broken(job, "downgrade", finding.subject, finding.detail, finding.evidence, finding.hint)


def _install_earlier(job: Job) -> None:
    if job.stage is not Stage.NOTHING:
        job.set_back()
    steps.prepare(job)
    job.note_failed()
    steps.install_these(job, job.earlier, Stage.OLD)
    steps.begin(job)


def _replace(job: Job, packages: "Sequence[Package]", stage: Stage) -> None:
    """Install packages over those that are there; the units that ran have to run, and nobody starts them."""
    job.note_failed()
    before = {one.name: one for one in map(job.look, job.judged)}
    ran = [name for name, one in before.items() if one.state.active == "active"]
    shipped = set(job.shipped)
    steps.install_these(job, packages, stage)
    if not job.runs:
        return
    if shipped.difference(job.shipped):  # systemd may know their files still, as it does until the next boot
        job.machine.system.read_again(deadline=job.deadline)
    gone = [one.name for one in map(job.look, ran) if one.state.load == "not-found"]
    job.forget(gone)
    steps.find_units(job)
    looked = list(map(job.look, job.units))
    if gone:
        _judge_gone(job, [before[name] for name in gone], looked, ran, shipped)
    job.enablement |= {one.name: one.facts.enablement for one in looked}
    _find_disabled(job, [name for name, one in before.items() if one.facts.enablement == "enabled"])
    for one in looked:
        if one.name not in ran:
            steps.start(job, one)
    steps.judge(job)
    for finding in job.current:
        unit = finding.subject.removeprefix("unit ")
        if finding.outcome is Outcome.FAILED and unit in ran and job.look(unit).state.active == "inactive":
            told = f"{finding.detail}; it ran before, and was not started again"
            broken(job, "stops-service", finding.subject, told, finding.evidence, finding.hint)
            job.machine.system.start([unit], wait=True, deadline=job.deadline)  # later phases need it


def _judge_gone(
    job: Job, gone: "Sequence[Left]", looked: "Sequence[Left]", ran: Collection[str], shipped: Collection[str]
) -> None:
    """Judge units that ran, and that the packages do not have any more: it may be that another one takes their place.

    `looked` are the units that are judged now, `ran` and `shipped` those of before.
    """
    running = {process.unit for process in job.machine.processes()}
    stopped = []
    for one in gone:
        if one.name in running:
            still = "its process runs on"
        elif not one.name.endswith(".service") and job.look(one.name).state.active == "active":
            still = "it is still active"
        else:
            stopped += [one.name] if one.facts.kind != "oneshot" else []
            continue
        broken(job, "runs-after-removal", f"unit {one.name}", f"its unit file is gone, and {still}")
    new = [one for one in looked if one.name not in ran]
    waiting = [one.name for one in new if one.state.active == "inactive"]
    added = map(job.look, set(job.shipped).difference(shipped))
    disabled = [one.name for one in added if one.is_stopped and one.can_enable]
    if stopped and not (waiting or disabled) and any(one.state.active == "active" for one in looked):
        job.phase_notes.append(f"not shipped any more, and stopped: {', '.join(stopped)}")
    elif len(waiting) == len(new):
        others = sorted({*waiting, *disabled})
        ships = f"; the packages ship {', '.join(others)}, which nothing has started" if others else ""
        for name in stopped:
            broken(job, "stops-service", f"unit {name}", f"it ran before, and is gone{ships}")


def _find_disabled(job: Job, enabled: Sequence[str]) -> None:
    """Find units that were enabled, and are not any more; they are enabled again, as later phases need it."""
    for unit in enabled:
        if job.look(unit).facts.enablement == "disabled":
            told = "it was enabled, and is disabled now: the next boot will not start it"
            broken(job, "disables-service", f"enablement of {unit}", told)
            job.machine.system.enable([unit], deadline=job.deadline)


def _replace_while(job: Job, verb: str, how: str) -> None:
    """Install the packages over themselves while their services are disabled or masked: they stay so, and stopped."""
    looked = [one for one in map(job.look, job.units) if one.facts.enablement in ("enabled", "disabled")]
    names = [one.name for one in looked if one.state.active == "active"]
    if not names or not job.runs:
        return
    job.machine.system.bar(names, masked=verb == "mask", deadline=job.deadline)
    changed = [one for one in map(job.look, names) if not one.facts.is_enabled and one.state.active == "inactive"]
    job.masked = names if verb == "mask" else ()
    steps.install_these(job, job.packages, Stage.INSTALLED)
    job.masked = ()
    if job.installation and not job.installation.passed:
        told = f"{job.installation.detail}; meanwhile its services were {how}"
        job.add_installation(job.installation._replace(detail=told))
    for one in changed:
        now = job.look(one.name)
        if now.state.active != "inactive":
            broken(job, "starts-service", f"start of {one.name}", f"it was {how}, and is {now.state.active} now")
        if now.facts.enablement != one.facts.enablement:
            told = f"it was {how}, and is {now.facts.enablement} now"
            broken(job, "enables-service", f"enablement of {one.name}", told)
    job.machine.system.unbar(names, deadline=job.deadline)
    if enabled := [one.name for one in looked if one.facts.enablement == "enabled"]:
        job.machine.system.enable(enabled, deadline=job.deadline)
    job.machine.system.start(names, wait=True, deadline=job.deadline)
