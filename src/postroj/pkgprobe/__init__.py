"""The harness: from an image and packages to a verdict."""

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from postroj import image as images
from postroj.container import Bind, Container
from postroj.deadline import Deadline
from postroj.errors import HostError, MachineLostError, PostrojError, UsageError
from postroj.events import Warn, emit
from postroj.pkgprobe.job import Job, Phase
from postroj.pkgprobe.phases import PHASES
from postroj.pkgprobe.request import Request
from postroj.pkgprobe.result import Result, Verdict
from postroj.probe import Finding, Outcome
from postroj.probe.unit import unit_name

if TYPE_CHECKING:
    from postroj.family import Family
    from postroj.image.store import Image
    from postroj.package.reference import Package
    from postroj.probe.network import Address

__all__ = ["Request", "Result", "Verdict", "pkgprobe"]


def pkgprobe(request: Request) -> Result:
    """Boot the image, install the packages, run the checks.

    Raises UsageError before anything boots. Any other error is in the result, with what was found before it. A package
    whose header alone is wrong has failed, without a boot.
    """
    started = time.monotonic()
    try:
        image, findings, error = _probe(request)
    except UsageError:
        raise
    except PostrojError as broken:
        image, findings, error = request.image, [], broken
    return Result(image, findings, time.monotonic() - started, error)


def _probe(request: Request) -> tuple[str, list[Finding], PostrojError | None]:
    """Return the name of the image, the findings, and the error that broke it off."""
    deadline = Deadline(request.timeout)
    units = [unit_name(unit) for unit in request.units]
    addresses = _addresses(request.networks)
    _add_checks(request.checks, units, addresses)
    images.check_name(request.image)
    packages = _packages(request, deadline)
    if faults := [_fault(package.reference, package.fault) for package in packages if package.fault]:
        return request.image, faults, None
    with images.open_image(request.image, offline=request.offline) as image:
        images.check_boots(image)
        family = _family(image, packages) if packages else None
        binds = [Bind(package.file, package.guest_name(n)) for n, package in enumerate(packages) if package.file]
        with Container(
            image.root,
            image.machine,
            binds=binds,
            options=request.options,
            deadline=deadline,
            proxies=bool(packages),
        ) as machine:
            job = Job(
                request, machine, family=family, packages=packages, units=units, addresses=addresses, deadline=deadline
            )
            error = _run(PHASES, job)
    return image.name, job.findings, error


def _run(phases: Iterable[Phase], job: Job) -> PostrojError | None:
    """Run the phases, and return the error that broke them off, if one did."""
    try:
        for phase in phases:
            phase(job)
    except MachineLostError as error:
        if not (job.packages and error.by_guest):
            return error
        # Nothing but what was installed can have done this.
        job.add(Finding("machine", Outcome.FAILED, error.what))
    except PostrojError as error:
        return _out_of_memory(job, error)
    return _out_of_memory(job)


def _fault(reference: str, fault: str) -> Finding:
    return Finding(f"package {reference}", Outcome.FAILED, fault)


def _out_of_memory(job: Job, error: PostrojError | None = None) -> PostrojError | None:
    """Return an error if something failed for want of memory: another machine, or more memory, may tell.

    `error` is what broke the phases off, and is returned if it was not that.
    """
    kills = 0 if isinstance(error, MachineLostError) else job.machine.out_of_memory()
    if not kills:
        return error
    what = f"the kernel's OOM killer ended processes in the machine ({kills})"
    if error or not job.passed:
        told = f"no verdict: {what}" + (f": {error.what}" if error else "")
        return HostError(told, why=error.why if error else "", hint="give it more --memory, or free some on this host")
    emit(Warn(what))
    return None


# Imported on use: what a boot does not need is not imported before it.


def _addresses(texts: Sequence[str]) -> "list[Address]":
    if not texts:
        return []
    from postroj.probe.network import parse

    return [parse(text) for text in texts]


def _add_checks(texts: Sequence[str], units: list[str], addresses: "list[Address]") -> None:
    if not texts:
        return
    from postroj.probe.check import UnitCheck, read

    for check in map(read, texts):
        if isinstance(check, UnitCheck):
            units.append(check.name)
        else:
            addresses.append(check)


def _family(image: "Image", packages: "Sequence[Package]") -> "Family":
    from postroj import family

    found = family.load(image.family)
    for package in packages:
        package.check_fits(image.name, found, image.architecture)
    return found


def _packages(request: Request, deadline: Deadline) -> "list[Package]":
    if not request.packages:
        return []
    from postroj.package.reference import open_packages

    return open_packages(request.packages, deadline=deadline, offline=request.offline)
