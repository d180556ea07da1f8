"""The harness: from an image and packages to a verdict."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from postroj import image as images
from postroj.container import Bind, Container, Options
from postroj.deadline import Deadline
from postroj.errors import HostError, InstallError, MachineLostError, UsageError
from postroj.events import Warn, emit
from postroj.machine import Machine
from postroj.probe import Finding
from postroj.probe.unit import check_unit, unit_name

if TYPE_CHECKING:
    from postroj.package.reference import Package
    from postroj.probe.network import Address

STAY_SECONDS = 4.0
"""How long a unit must stay active by default, where packages were installed."""
NETWORK_SECONDS = 30.0
"""How long an address may take to answer, by default."""
TOTAL_SECONDS = 1800.0
"""How long all of it may take, by default."""


class Request(NamedTuple):
    """What is to be probed."""

    image: str
    packages: Sequence[str] = ()
    units: Sequence[str] = ()
    networks: Sequence[str] = ()
    stay: float | None = None
    """Seconds that a unit must have been active; by default STAY_SECONDS with packages, 0 without."""
    network_timeout: float = NETWORK_SECONDS
    """Seconds until an address must answer."""
    timeout: float = TOTAL_SECONDS
    """Seconds for all of it."""
    options: Options = Options()
    """The isolation and the limits of the machine."""
    start: bool = True
    """Start the named units that the installation of packages has left stopped, and judge them then."""
    offline: bool = False
    """Whether nothing is fetched over the network, neither images nor packages; the guest has its own."""


class Result(NamedTuple):
    """What came of it."""

    image: str
    findings: list[Finding]
    seconds: float

    @property
    def passed(self) -> bool:
        """The verdict; an error of ours or the host's is an exception, and never a result."""
        return all(finding.passed for finding in self.findings)


def pkgprobe(request: Request) -> Result:
    """Boot the image, install the packages, run the probes.

    Raises UsageError before anything boots, and HostError where no verdict can be given.
    """
    started = time.monotonic()
    deadline = Deadline(request.timeout)
    units = [unit_name(unit) for unit in request.units]
    addresses = _addresses(request.networks)
    images.check_name(request.image)
    packages = _packages(request, deadline)
    with images.used(request.image, offline=request.offline) as image:
        images.check_boots(image)
        if packages and image.family != "apt":
            raise UsageError(f"packages are installed by apt only, so far, and {image.name} has {image.family}")
        for package in packages:
            package.check_fits(image.name, image.architecture)
        binds = [Bind(package.file, package.guest_name(n)) for n, package in enumerate(packages) if package.file]
        with Container(image.root, image.machine, binds=binds, options=request.options, deadline=deadline) as machine:
            findings: list[Finding] = []
            try:
                findings += _install(machine, packages, deadline)
                if all(finding.passed for finding in findings):
                    findings += _probe(machine, request, units, addresses, deadline)
            except MachineLostError as error:
                if not (packages and error.by_guest):
                    raise
                # Nothing did this but what was installed.
                findings.append(Finding("machine", False, error.what))
            if kills := machine.out_of_memory():
                _explain_kills(kills, all(finding.passed for finding in findings))
    return Result(image.name, findings, time.monotonic() - started)


def _explain_kills(kills: int, passed: bool) -> None:
    """Whoever runs out of memory has not failed for that reason: another machine, or more memory, may tell."""
    what = f"the out-of-memory killer struck in the machine (processes that fell: {kills})"
    if not passed:
        raise HostError(f"there is no verdict: {what}", hint="give it more --memory, or free some on this host")
    emit(Warn(what))


def _probe(
    machine: Machine, request: Request, units: list[str], addresses: "list[Address]", deadline: Deadline
) -> list[Finding]:
    stay = request.stay
    if stay is None:
        stay = STAY_SECONDS if request.packages else 0.0
    notes = _start(machine, units, deadline) if request.packages and request.start else {}
    findings = {unit: check_unit(machine, unit, stay=stay, deadline=deadline) for unit in units}
    if not addresses:
        return _noted(findings, notes)
    from postroj.probe.network import check_network

    if failed := [unit for unit, finding in findings.items() if not finding.passed]:
        reason = f"not tried, because {' and '.join(failed)} failed"
        return [*_noted(findings, notes), *(Finding(f"network {one.text}", False, reason) for one in addresses)]
    networks = [
        check_network(machine, address, timeout=request.network_timeout, deadline=deadline) for address in addresses
    ]
    # A unit may have died of being talked to, or while an address was waited for.
    for unit in [unit for unit, finding in findings.items() if finding.passed]:
        findings[unit] = check_unit(machine, unit, stay=stay, deadline=deadline)
    return [*_noted(findings, notes), *networks]


def _start(machine: Machine, units: list[str], deadline: Deadline) -> dict[str, str]:
    from postroj.pkgprobe.services import start_if_left_stopped

    return {unit: start_if_left_stopped(machine, unit, deadline=deadline) for unit in units}


def _noted(findings: dict[str, Finding], notes: dict[str, str]) -> list[Finding]:
    """Return the findings of units, each with the note on how it was started."""
    return [
        finding._replace(detail=f"{finding.detail}; {notes[unit]}") if notes.get(unit) else finding
        for unit, finding in findings.items()
    ]


def _install(machine: Machine, packages: "list[Package]", deadline: Deadline) -> list[Finding]:
    if not packages:
        return []
    from postroj.package.install import install

    subject = "package " + ", ".join(package.reference for package in packages)
    names = [package.guest_name(number) for number, package in enumerate(packages)]
    try:
        install(machine, names, from_repositories=not all(package.file for package in packages), deadline=deadline)
    except InstallError as error:
        return [Finding(subject, False, error.what, error.why)]
    return [Finding(subject, True, "installed")]


# Imported on use: what a boot does not need is not imported before it.


def _addresses(texts: Sequence[str]) -> "list[Address]":
    if not texts:
        return []
    from postroj.probe.network import parse

    return [parse(text) for text in texts]


def _packages(request: Request, deadline: Deadline) -> "list[Package]":
    if not request.packages:
        return []
    from postroj.package.reference import open_packages

    return open_packages(request.packages, deadline=deadline, offline=request.offline)
