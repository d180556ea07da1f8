"""The phases of a probe: a list that is run. Imports are late: a boot does not wait for what comes after it."""

from postroj.errors import InstallError
from postroj.pkgprobe.job import Job, Phase
from postroj.probe import Finding, Outcome


def install(job: Job) -> None:
    """Install the packages."""
    if not job.packages:
        return
    from postroj.package.install import install as install_packages

    subject = "package " + ", ".join(package.reference for package in job.packages)
    names = [package.guest_name(number) for number, package in enumerate(job.packages)]
    from_repositories = not all(package.file for package in job.packages)
    try:
        install_packages(job.machine, names, from_repositories=from_repositories, deadline=job.deadline)
    except InstallError as error:
        job.add(Finding(subject, Outcome.FAILED, error.what, error.why))
    else:
        job.add(Finding(subject, Outcome.PASSED, "installed"))


def check_units(job: Job) -> None:
    """Start the units that the installation has left stopped, then judge all of them."""
    from postroj.pkgprobe.services import start_if_left_stopped
    from postroj.probe.unit import check_unit

    if not job.passed:
        for unit in job.units:
            job.skip(f"unit {unit}")
        return
    notes: dict[str, str] = {}
    if job.packages and job.request.start:
        # All of them first: each may need another.
        notes = {unit: start_if_left_stopped(job.machine, unit, deadline=job.deadline) for unit in job.units}
    for unit in job.units:
        finding = check_unit(job.machine, unit, stay=job.request.stay_seconds, deadline=job.deadline)
        note = notes.get(unit)
        job.add(finding._replace(detail=f"{finding.detail}; {note}") if note else finding)


def check_networks(job: Job) -> None:
    """Judge the addresses, if all units are as they should be."""
    if not job.addresses:
        return
    from postroj.probe.network import check_network

    if not job.passed:
        for address in job.addresses:
            job.skip(f"network {address.text}")
        return
    for address in job.addresses:
        job.add(check_network(job.machine, address, timeout=job.request.network_timeout, deadline=job.deadline))


def look_again(job: Job) -> None:
    """Judge the units once more: one may have died of being talked to, or while an address was waited for."""
    if not job.addresses:
        return
    from postroj.probe.unit import check_unit

    before = {finding.subject: finding for finding in job.findings}
    for unit in job.units:
        finding = check_unit(job.machine, unit, stay=job.request.stay_seconds, deadline=job.deadline)
        if not finding.passed and before[f"unit {unit}"].passed:
            job.add(finding)


PHASES: tuple[Phase, ...] = (install, check_units, check_networks, look_again)
