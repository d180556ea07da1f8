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
    from postroj.package.repository import Repositories
    from postroj.probe.network import Address

__all__ = ["Request", "Result", "Verdict", "pkgprobe"]


def pkgprobe(request: Request) -> Result:
    """Boot the image, install the packages, run the checks.

    Raises UsageError before anything boots, and HostError if nothing could be found out. An error after the first
    finding is in the result. A package whose header alone is wrong has failed, without a boot.
    """
    started = time.monotonic()
    deadline = Deadline(request.timeout)
    units = [unit_name(unit) for unit in request.units]
    addresses = _addresses(request.networks)
    _add_checks(request.checks, units, addresses)
    images.check_name(request.image)
    packages, needed = _packages(request.packages, request, deadline), _packages(request.needed, request, deadline)
    repositories = _repositories(request, deadline)
    if faults := [_fault(package.reference, package.fault) for package in packages if package.fault]:
        return Result(request.image, faults, time.monotonic() - started)
    for package in needed:
        if package.fault:
            raise UsageError(f"--with={package.reference} {package.fault}")
    with images.open_image(request.image, offline=request.offline) as image:
        images.check_boots(image)
        together = [*packages, *needed]
        family = _family(image, together, repositories) if together else None
        binds = [Bind(package.file, package.guest_name(n)) for n, package in enumerate(together) if package.file]
        with Container(
            image.root,
            image.machine,
            binds=binds,
            options=request.options,
            deadline=deadline,
            proxies=bool(together),
        ) as machine:
            job = Job(
                request,
                machine,
                family=family,
                packages=packages,
                needed=needed,
                repositories=repositories,
                units=units,
                addresses=addresses,
                deadline=deadline,
            )
            error = _run(PHASES, job)
    if error and not job.findings:
        raise error
    return Result(image.name, job.findings, time.monotonic() - started, error)


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
        return error
    return _out_of_memory(job)


def _fault(reference: str, fault: str) -> Finding:
    return Finding(f"package {reference}", Outcome.FAILED, fault)


def _out_of_memory(job: Job) -> HostError | None:
    """Return an error if something failed for want of memory: another machine, or more memory, may tell."""
    kills = job.machine.out_of_memory()
    if not kills:
        return None
    what = f"the kernel's OOM killer ended processes in the machine ({kills})"
    if not job.passed:
        return HostError(f"no verdict: {what}", hint="give it more --memory, or free some on this host")
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


def _family(image: "Image", packages: "Sequence[Package]", repositories: "Repositories | None") -> "Family":
    from postroj import family

    found = family.load(image.family)
    for package in packages:
        package.check_fits(image.name, found, image.architecture)
    if repositories:
        repositories.check_fits(image.name, found)
    return found


def _packages(references: Sequence[str], request: Request, deadline: Deadline) -> "list[Package]":
    if not references:
        return []
    from postroj.package.reference import open_packages

    return open_packages(references, deadline=deadline, offline=request.offline)


def _repositories(request: Request, deadline: Deadline) -> "Repositories | None":
    if not (request.repositories or request.unsigned_repositories or request.repository_keys):
        return None
    from postroj.package.repository import read

    if not (request.packages or request.needed):
        raise UsageError("a repository is of use for packages only", hint="give one by --package or --with")
    return read(
        request.repositories,
        request.unsigned_repositories,
        request.repository_keys,
        deadline=deadline,
        offline=request.offline,
    )
