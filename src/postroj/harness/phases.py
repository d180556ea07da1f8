"""The phases of a probe: a list that is run. Imports are late: a boot does not wait for what comes after it."""

import time
from fnmatch import fnmatchcase

from postroj.errors import HostError, InstallError, NotInstalledError
from postroj.harness.job import Job, Phase
from postroj.probe import Finding, Outcome

AFTER_SECONDS = 2.0
"""How long units are looked at after the last check: a service may die of it."""


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
            first=len(job.packages),
        )
    except NotInstalledError as error:
        names = " ".join(f"--with={package.reference}" for package in job.needed)
        raise HostError(f"{names} did not install: {error.what}", why=error.why, hint=error.hint) from error


def install(job: Job) -> None:
    """Install the packages."""
    if not job.packages or not job.family:
        return
    from postroj.package.install import install as install_packages
    from postroj.package.reference import called

    job.failed_before = frozenset(job.machine.failed_units())
    job.restarts_before = job.machine.restarts()
    subject = f"package {called(job.packages)}"
    try:
        offline = job.request.offline
        installed = install_packages(job.machine, job.family, job.packages, deadline=job.deadline, offline=offline)
    except NotInstalledError as error:
        by_package = isinstance(error, InstallError)
        outcome = Outcome.FAILED if by_package else Outcome.UNKNOWN
        found = _of_unit(job, subject, error) if by_package else None
        job.add_installation(found or Finding(subject, outcome, error.what, error.why, error.hint, error.excerpt))
    else:
        detail = "installed"
        if installed.left:
            job.cause = f"left a process outside any unit: {installed.left}, ended with the installation"
            detail += f"; {job.cause}"
        job.add_installation(Finding(subject, Outcome.PASSED, detail, installed.report()))


def _of_unit(job: Job, subject: str, error: NotInstalledError) -> Finding | None:
    """Return the finding if an installation has failed because a unit did not start: it tells more than systemctl."""
    from postroj.package.units import units_of
    from postroj.probe.unit import Stay, check_unit

    named = units_of(error.what, error.why)
    if named is None:
        return None
    failed = [unit for unit in job.machine.failed_units() if unit not in job.failed_before]
    for unit in dict.fromkeys((*named, *failed)):
        found = check_unit(job.machine, unit, stay=Stay(), deadline=job.deadline)
        if not found.passed:
            script, mark, _ = error.what.partition("): ")
            detail = f"{script}{mark or ': '}{found.subject}: {found.detail}"
            return found._replace(subject=subject, detail=detail, evidence=f"{found.evidence}\n\n{error.why}")
    return None


def start_units(job: Job) -> None:
    """Find the units to judge, and start those that the installation has left stopped."""
    if not job.passed or not (job.units or job.packages):
        return
    from postroj.harness import services

    if not job.units:
        job.find_units()
    names = [services.own_name(job.machine, name) for name in job.units]
    job.aliases = {name: given for given, name in zip(job.units, names, strict=True) if name != given}
    job.units = list(dict.fromkeys(names))
    if not job.packages:
        return
    from postroj.harness import unitfaults

    for one in [services.look(job.machine, name) for name in job.units]:
        job.enablement[one.name] = one.facts.enablement
        if job.request.expect_enabled and (why := unitfaults.not_enabled(job.machine, one)):
            job.not_enabled[one.name] = why
        if job.request.start:
            before = time.time()
            started = services.start(job.machine, one, deadline=job.deadline)
            job.notes[one.name] = started.note
            if started.note:
                job.started[one.name] = before
            if started.by_trigger:
                job.may_end.add(one.name)
        if not job.notes.get(one.name) and one.facts.enablement == "disabled" and one.state.active == "active":
            job.notes[one.name] = "not enabled: a boot does not start it"


def check_units(job: Job) -> None:
    """Wait until each unit has started, and use those that start another one when they are used."""
    if not job.passed:
        for unit in job.units:
            job.skip(f"unit {unit}")
        return
    from postroj.harness.services import trigger

    for unit in list(job.units):
        if job.check_started(unit).passed and job.packages:
            job.triggered += [new for new in trigger(job.machine, unit, deadline=job.deadline) if new not in job.units]
    job.may_end |= set(job.triggered)
    for unit in job.triggered:
        job.check_started(unit)


def check_networks(job: Job) -> None:
    """Judge the addresses, if all units are as they should be."""
    if not job.addresses:
        return
    from postroj.probe.network import check_network

    job.note_restarts()
    for address in job.addresses:
        if not job.passed:
            job.skip(f"network {address.text}")
            continue
        timeout = job.request.network_timeout
        finding = check_network(
            job.machine, address, timeout=timeout, deadline=job.deadline, give_up=job.has_lost_a_unit
        )
        job.add(_settled(job, finding, is_network=True))
    job.note_restarts()


def _settled(job: Job, finding: Finding, *, is_network: bool) -> Finding:
    """Return a finding, with its likely cause if it has failed; units that were lost or restarted are judged again."""
    if finding.passed:
        return finding
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
    return job.explained(finding)


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
    from postroj.probe.judge import judge

    if not last:
        job.note_restarts()
    for name, check in job.checks.items():
        kind = settings_of(check)
        if kind.last is not last:
            continue
        if not job.runs:
            job.skip(name, is_check=True)
            continue
        seconds = job.request.network_timeout if kind.seconds is None else kind.seconds
        finding = judge(check, name, job.scene, seconds=seconds, deadline=job.deadline, give_up=job.has_lost_a_unit)
        job.add(_settled(job, finding, is_network=kind.is_network), is_check=True)
    if not last:
        job.note_restarts()


def stay(job: Job) -> None:
    """Watch the units for the rest of their stay, and a moment after the last check."""
    if not job.runs or not (job.request.stay_seconds or job.addresses or job.checks):
        return
    until = time.monotonic() + AFTER_SECONDS if job.request.stay_seconds else 0.0
    for unit in [*job.triggered, *job.units]:
        if unit.endswith(".socket") and not job.runs:
            continue  # if its service fails, so does it
        job.check_stays(unit, until=until)


def check_enablement(job: Job) -> None:
    """Report units that the installation has left disabled, if that was asked for; last, as it hinders no check."""
    for unit, why in job.not_enabled.items():
        job.add(Finding(f"enablement of {unit}", Outcome.FAILED, why))


def note_unit_files(job: Job) -> None:
    """Note faults of the unit files that the packages ship, which keep nothing from running here."""
    if not job.installation or not job.installation.passed or not job.family:
        return
    from postroj.harness import services, unitfaults

    names = list(dict.fromkeys([*job.shipped, *job.judged]))
    notes = unitfaults.ignored(job.machine, names)
    for unit in (name for name in names if name not in job.not_enabled):
        if why := unitfaults.never_started(job.machine, services.look(job.machine, unit)):
            notes.append(f"{unit}: {why}")
    job.add_installation(job.installation._replace(notes=tuple(notes)))


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
        allowed = next((glob for glob in job.request.allow_failed if fnmatchcase(unit, glob)), "")
        if allowed:
            what = "failed" if unit in failed else "was restarted"
            job.add(Finding(f"unit {unit}", Outcome.PASSED, f"{what}, which --allow-failed={allowed} allows"))
        else:
            job.check_stays(unit)


PHASES: tuple[Phase, ...] = (
    prepare,
    install,
    start_units,
    check_units,
    check_networks,
    run_checks,
    note_unit_files,
    stay,
    run_last_checks,
    check_enablement,
    find_failed_units,
)

NAMES: dict[Phase, str] = {install: "install", find_failed_units: "check"}
"""What ends with a phase, as it is called to users."""
