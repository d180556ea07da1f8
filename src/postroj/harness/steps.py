"""The steps of a probe, of which phases are lists. Imports are late: a boot does not wait for what comes after it."""

import re
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from postroj.errors import HostError, InstallError, NotInstalledError
from postroj.harness.job import Job, Phase, Stage, Step
from postroj.harness.judging import AFTER_SECONDS
from postroj.probe import Finding, Outcome

if TYPE_CHECKING:
    from postroj.harness.services import Left
    from postroj.package.reference import Package
    from postroj.probe.judge import Check
    from postroj.probe.network import Address

_MOST_NAMED = 20
_NEEDS = {"linux": "Linux", "systemd": "systemd"}
_SCRIPT_FAILED = re.compile(r".+? failed(?: \([^()]*\))?(?=: |$)")
"""Of the reason that names a maintainer script, the part before the script's words."""


def prepare(job: Job) -> None:
    """Add the repositories, and install what is not under test: if that fails, it is no package's fault."""
    if job.repositories and job.family:
        from postroj.package import repository

        repository.add(job.machine, job.family, job.repositories, deadline=job.deadline)
    if not job.needed or not job.family:
        return
    from postroj.package.install import install as install_packages

    try:
        install_packages(
            job.machine,
            job.family,
            job.needed,
            deadline=job.deadline,
            offline=job.request.offline,
            first=job.number_of(job.needed),
            has_lists=job.has_lists,
            answer=job.answer_of(job.needed),
        )
    except NotInstalledError as error:
        names = " ".join(f"--with={package.reference}" for package in job.needed)
        raise HostError(f"{names} did not install: {error.what}", why=error.why, hint=error.hint) from error


def install(job: Job) -> None:
    """Install the packages."""
    if job.packages:
        job.note_failed()
    install_these(job, job.packages, Stage.INSTALLED)


def install_these(job: Job, packages: "Sequence[Package]", stage: Stage) -> None:
    """Install packages, the ones under test or their earlier release; `stage` is what that leads to."""
    if not packages or not job.family:
        return
    from postroj.package.install import install as install_packages
    from postroj.package.reference import called

    job.note_loaded()
    subject, label = f"package {called(packages)}", f"package {','.join(package.name for package in packages)}"
    try:
        installed = install_packages(
            job.machine,
            job.family,
            packages,
            deadline=job.deadline,
            offline=job.request.offline,
            first=job.number_of(packages),
            has_lists=job.has_lists,
            answer=job.answer_of(packages),
            ready=job.before_installing if job.stage is Stage.NOTHING else None,
        )
    except NotInstalledError as error:
        by_package = isinstance(error, InstallError)
        outcome = Outcome.FAILED if by_package else Outcome.UNKNOWN
        found = _of_unit(job, subject, error) if by_package else None
        failed = found or Finding(subject, outcome, error.what, error.why, error.hint, error.excerpt)
        job.add_installation(failed._replace(label=label))
    else:
        detail = "installed"
        if installed.left:
            job.cause = f"left a process outside any unit: {installed.left}, ended with the installation"
            detail += f"; {job.cause}"
        job.stage, job.has_lists = stage, installed.has_lists
        job.add_siblings(installed.siblings)
        if packages is job.packages:
            job.versions = {name: installed.plan.version_of(name) for name in job.names}
        from postroj.package.units import not_started

        job.refused = frozenset(not_started(installed.output.splitlines()))
        job.complaints = job.family.complaints(installed.output, installed.asked)
        notes = (
            *(f"{job.family.command} has removed {name}" for name in installed.plan.removed[:_MOST_NAMED]),
            *(f"a maintainer script printed: {line}" for line in job.complaints),
            *job.family.notes(installed.output),
        )
        done = Finding(subject, Outcome.PASSED, detail, installed.report(), notes=notes, label=label)
        job.add_installation(done)


def _of_unit(job: Job, subject: str, error: NotInstalledError) -> Finding | None:
    """Return the finding if an installation has failed because a unit did not start: it tells more than systemctl."""
    if not job.machine.capabilities.systemd:
        return None
    from postroj.package.units import units_of
    from postroj.probe import past, reason
    from postroj.probe.unit import Stay, check_unit

    named = units_of(error.what, error.why)
    if named is None:
        return None
    script = _SCRIPT_FAILED.match(error.what)
    begin = script[0] if script else error.what
    failed = [unit for unit in job.machine.failed_units() if unit not in job.failed_before]
    for unit in dict.fromkeys((*named, *failed, *past.failed_jobs(job.machine, job.begin))):
        found = check_unit(job.machine, unit, stay=Stay(), deadline=job.deadline)
        if not found.passed and unit not in job.masked:
            detail = f"{begin}: {found.subject}: {found.detail}"
            return found._replace(subject=subject, detail=detail, evidence=f"{found.evidence}\n\n{error.why}")
        if f"Job for {unit} failed" in error.why and (why := reason.of_reload(job.machine, unit, job.since)):
            told = f"{begin}: {found.subject}: it was not reloaded: {why}"
            return found._replace(subject=subject, outcome=Outcome.FAILED, detail=told, evidence=error.why)
    return None


def begin(job: Job) -> bool:
    """Find, start and judge the units of what is installed; return whether all that bears on the next steps passes."""
    start_units(job)
    check_units(job)
    return job.runs


def start_units(job: Job, *, is_again: bool = False) -> None:
    """Find the units to judge, and start those that the installation has left stopped.

    With `is_again` they may have run before, and were stopped as the package was removed.
    """
    job.has_begun = True
    if not job.runs or not (job.units or job.packages):
        return
    if job.packages and (job.request.start or job.request.expect_enabled):
        from postroj.harness.choosing import generate

        generate(job.machine, job.shipped, deadline=job.deadline)
    find_units(job)
    if not job.packages:
        return
    from postroj.harness import unitfaults

    for one in map(job.look, [*job.units, *job.idle] if job.request.expect_enabled else ()):
        if why := unitfaults.not_enabled(job.machine, one):
            job.not_enabled[one.name] = why
    for one in map(job.look, job.units):
        job.enablement[one.name] = one.facts.enablement
        if job.request.start:
            start(job, one.as_new() if is_again else one)
        if not job.notes.get(one.name) and one.facts.enablement == "disabled" and one.state.active == "active":
            job.notes[one.name] = "not enabled: a boot does not start it"


def start(job: Job, left: "Left") -> None:
    """Start a unit that is stopped, and note how."""
    from postroj.harness import services

    before = time.time()
    started = services.start(job.machine, left, deadline=job.deadline)
    job.notes[left.name] = started.note
    job.links |= set(started.links)
    if started.note:
        job.started[left.name] = before
    if started.by_trigger:
        job.may_end.add(left.name)


def find_units(job: Job) -> None:
    """Find the units to judge: those that the user has named, or else those that the packages ship."""
    from postroj.harness import choosing, services

    chosen = choosing.Chosen(job.named_units, [], []) if job.named_units else choosing.choose(job.machine, job.shipped)
    if chosen.notes and job.installation:
        notes = tuple(dict.fromkeys((*job.installation.notes, *chosen.notes)))
        job.add_installation(job.installation._replace(notes=notes))
    job.idle = chosen.idle
    found = chosen.units
    names = [services.own_name(job.machine, name) for name in found]
    job.aliases = {name: given for given, name in zip(found, names, strict=True) if name != given}
    job.units = list(dict.fromkeys(names))
    job.triggered = [unit for unit in job.triggered if unit not in job.units]


def check_units(job: Job) -> None:
    """Wait until each unit has started, and use those that start another one when they are used."""
    if not job.runs:
        for unit in job.units:
            job.skip(f"unit {unit}")
        return
    from postroj.harness.services import trigger

    started = {unit: job.check_started(unit) for unit in job.units}
    if not job.named_units:
        _excuse_skipped(job, started)
    for unit in list(job.units):
        if started[unit].passed and job.packages:
            used = trigger(
                job.machine, unit, is_named=job.aliases.get(unit, unit) in job.named_units, deadline=job.deadline
            )
            job.triggered += [new for new in used if new not in job.judged]  # a later phase uses it again
            job.notes |= {new: note for new, note in used.items() if note and not job.notes.get(new)}
    job.may_end |= set(job.triggered)
    for unit in job.triggered:
        job.check_started(unit)


def _excuse_skipped(job: Job, started: Mapping[str, Finding]) -> None:
    """Let units pass that a condition has skipped: nobody has named them, and another unit of the packages runs."""
    if not any(finding.passed and not job.allowing(unit) for unit, finding in started.items()):
        return
    for unit in [unit for unit, finding in started.items() if finding.outcome is Outcome.FAILED]:
        state = job.look(unit).state
        if state.condition or state.result == "exec-condition":
            job.add(started[unit]._replace(outcome=Outcome.PASSED))
            job.forget([unit])


def check_networks(job: Job) -> None:
    """Judge the addresses, if all units are as they should be."""
    if not job.addresses:
        return
    from postroj.probe.check import of_address

    job.note_restarts()
    for address in job.addresses:
        _judge(job, f"network {address}", of_address(address), is_check=False)
    job.note_restarts()


def _settled(job: Job, finding: Finding, address: "Address | None", *, is_network: bool) -> Finding:
    """Return a finding, with its likely cause if it has failed; units that were lost or restarted are judged again."""
    if finding.passed:
        return _answered(job, finding, address)
    if job.has_lost_a_unit() or job.was_restarted():
        for unit in job.judged:
            job.check_stays(unit, when="during the checks")
    if any(found.outcome is Outcome.UNKNOWN for found in job.without_checks):
        finding = finding._replace(outcome=Outcome.UNKNOWN)  # what keeps a unit from running is nobody's fault
    elif is_network:
        from postroj.probe import reach

        if clause := reach.hindrance(job.machine, job.judged):
            told = finding.detail.removesuffix(f"; {finding.evidence}")  # who listens, as far as the machine sees
            finding = finding._replace(detail=f"{told}; {clause}")
        else:
            finding = _answered(job, finding, address)
    return job.explained(finding)


def _answered(job: Job, finding: Finding, address: "Address | None") -> Finding:
    if not address:
        return finding
    from postroj.probe import reach

    return reach.answered(job.machine, address, finding, job.judged)


def run_checks(job: Job) -> None:
    """Judge the checks of what happens while the units run."""
    _run_checks(job, last=False)


def run_last_checks(job: Job) -> None:
    """Judge the checks of what may come late."""
    _run_checks(job, last=True)


def _run_checks(job: Job, *, last: bool) -> None:
    if not job.checks:
        return
    from postroj.probe.check import settings_of

    if not last:
        job.note_restarts()
    for name, check in job.checks.items():
        if settings_of(check).last is last:
            _judge(job, name, check, is_check=True)
    if not last:
        job.note_restarts()


def _judge(job: Job, name: str, check: "Check", *, is_check: bool) -> None:
    """Judge a check, unless it, or something that it depends on, has failed."""
    from postroj.probe.check import address_of, settings_of
    from postroj.probe.judge import judge

    if not job.runs:
        job.skip(name, is_check=is_check)
        return
    if is_check and job.skips_failed(name):
        return
    kind = settings_of(check)
    if kind.needs and not getattr(job.machine.capabilities, kind.needs):
        told = f"cannot be told here: it needs {_NEEDS[kind.needs]}, and the machine has {job.machine.system.name}"
        job.add(Finding(name, Outcome.UNKNOWN, told), is_check=is_check)
        return
    seconds = job.request.network_timeout if kind.seconds is None else kind.seconds
    finding = judge(check, name, job.scene, seconds=seconds, deadline=job.deadline, give_up=job.has_lost_a_unit)
    settled = _settled(job, finding, address_of(check), is_network=kind.is_network)
    job.add(_with_hidden(job, settled, getattr(check, "path", "")), is_check=is_check)


def _with_hidden(job: Job, finding: Finding, path: str) -> Finding:
    """Return a finding about a file or a socket, with why nobody sees it, if it has failed and that is known."""
    if finding.outcome is not Outcome.FAILED or not path:
        return finding
    from postroj.probe import reach

    clause = reach.hidden(job.machine, job.judged, path)
    return finding._replace(detail=f"{finding.detail}; {clause}") if clause else finding


def stay(job: Job) -> None:
    """Watch the units for the rest of their stay, and a moment after the last check."""
    if not job.runs or not (job.stay_seconds or job.addresses or job.checks):
        return
    until = time.monotonic() + AFTER_SECONDS if job.stay_seconds else 0.0
    for unit in [*job.triggered, *job.units]:
        if unit.endswith(".socket") and not job.runs:
            continue  # if its service fails, so does it
        job.check_stays(unit, until=until)


def check_enablement(job: Job) -> None:
    """Report units that a boot does not start: last, as it hinders no check.

    They are in an ordering cycle, or the installation has left them disabled, if that was asked for.
    """
    for unit, why in job.dropped.items():
        job.add(Finding(f"ordering of {unit}", Outcome.FAILED, why))
    for unit, why in job.not_enabled.items():
        job.add(job.allowed(unit, Finding(f"enablement of {unit}", Outcome.FAILED, why)))


def note_unit_files(job: Job) -> None:
    """Note faults of the unit files that the packages ship, which keep nothing from running here."""
    if not job.installation or not job.installation.passed or not job.family or not job.machine.capabilities.systemd:
        return
    from postroj.harness import services, unitfaults

    names = list(dict.fromkeys([*job.shipped, *job.judged]))
    if names and job.stay_seconds:  # it takes a tenth of a second, and the units are waited for meanwhile
        from postroj.probe import ordering

        job.dropped = {cycle.dropped: cycle.told() for cycle in ordering.cycles(job.machine, names)}
    notes = unitfaults.ignored(job.machine, names)
    if job.stay_seconds:
        notes += unitfaults.unenforced(job.machine, [name for name in job.judged if name.endswith(".service")])
    for unit in (name for name in names if name not in job.not_enabled):
        if why := unitfaults.never_started(job.machine, services.look(job.machine, unit)):
            notes.append(f"{unit}: {why}")
    job.add_installation(job.installation._replace(notes=(*job.installation.notes, *notes)))


def note_watchdogs(job: Job) -> None:
    """Note services with a watchdog that have not been heard of while they were watched."""
    if not job.installation or not job.installation.passed or not job.runs:
        return
    from postroj.harness import unitfaults

    looked = [job.look(unit) for unit in job.judged if unit.endswith(".service")]
    notes = [f"{one.name}: {why}" for one in looked if (why := unitfaults.unwatched(one))]
    if notes:
        job.add_installation(job.installation._replace(notes=(*job.installation.notes, *notes)))


def find_failed_units(job: Job) -> None:
    """Find the units, named or not, that have failed since the installation began, or were restarted by Restart=."""
    if not job.packages or (job.installation and not job.installation.passed):
        return
    known = {finding.subject for finding in job.without_checks if not finding.passed}
    failed = [unit for unit in job.machine.failed_units() if unit not in job.failed_before]
    restarted = [
        unit
        for unit, count in job.machine.restarts().items()
        if count > job.restarts_before.get(unit, 0) and unit not in job.judged
    ]
    for unit in dict.fromkeys([*failed, *restarted]):
        if f"unit {unit}" in known:
            continue
        if unit.endswith(".socket") and known.intersection(f"unit {name}" for name in job.triggered):
            continue  # it gave up because its service fails
        found = job.check_stays(unit)
        if found.outcome is Outcome.UNKNOWN and unit not in job.shipped:
            told = f"{found.detail}; no package under test ships it"
            job.add(found._replace(outcome=Outcome.PASSED, detail=told, hint=""))


JUDGE: tuple[Step, ...] = (check_units, check_networks, run_checks, stay, run_last_checks, find_failed_units)
"""From units that should run to findings."""


def judge(job: Job) -> None:
    """Judge the units, the addresses and the checks as they are now."""
    for step in JUDGE:
        step(job)


INSTALL = Phase("install", (prepare, install), leaves=Stage.INSTALLED)
CHECK = Phase(
    "check",
    # What is noted takes its time from the stay.
    (
        start_units,
        check_units,
        check_networks,
        run_checks,
        note_unit_files,
        stay,
        run_last_checks,
        note_watchdogs,
        check_enablement,
        find_failed_units,
    ),
    goes_on=True,
)
DEFAULT = (INSTALL, CHECK)
"""What is done if no phases are asked for."""
