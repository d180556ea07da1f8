"""The harness: from an image and packages to a verdict."""

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from postroj import image as images
from postroj.container import Bind, Container
from postroj.deadline import Deadline
from postroj.errors import HostError, MachineLostError, PostrojError, UsageError
from postroj.events import Warn, emit
from postroj.harness.attendant import NOBODY, Attendant
from postroj.harness.job import Job, Phase
from postroj.harness.phases import NAMES, PHASES
from postroj.harness.request import Request
from postroj.harness.result import Result, Verdict
from postroj.privileges import require_fit_process
from postroj.probe import Finding, Outcome
from postroj.probe.unit import unit_name

if TYPE_CHECKING:
    from postroj.family import Family
    from postroj.image.store import Image
    from postroj.package.reference import Package
    from postroj.package.repository import Repositories
    from postroj.probe.judge import Check
    from postroj.probe.network import Address

__all__ = ["Attendant", "Request", "Result", "Verdict", "pkgprobe", "probe"]


def pkgprobe(request: Request) -> Result:
    """Boot the image, install the packages, run the checks.

    Raises UsageError before anything boots, also if there is nothing to check. Any other error is in the result, with
    what was found before it. A package whose header alone is wrong has failed, without a boot.
    """
    return probe(request)


def probe(request: Request, attendant: Attendant = NOBODY) -> Result:
    """Do what pkgprobe does; the attendant is told of the moments at which the machine can be looked at."""
    if not (request.packages or request.units or request.networks or request.checks):
        raise UsageError("there is nothing to check", hint="give --package, --check-unit, --check-network or --check")
    started = time.monotonic()
    try:
        image, findings, error = _probe(request, attendant, started)
    except UsageError:
        raise
    except PostrojError as broken:
        image, findings, error = request.image or "", [], broken
    return Result(image, findings, time.monotonic() - started, error)


def _probe(request: Request, attendant: Attendant, started: float) -> tuple[str, list[Finding], PostrojError | None]:
    """Return the name of the image, the findings, and the error that broke it off."""
    deadline = Deadline(request.timeout)
    units = [unit_name(unit) for unit in request.units]
    addresses = _addresses(request.networks)
    checks = _checks(request.checks, units)
    if request.image is not None:
        images.check_name(request.image)
    packages, needed = _packages(request.packages, request, deadline), _packages(request.needed, request, deadline)
    repositories = _repositories(request, deadline)
    wanted = _choose(packages) if request.image is None else request.image
    if faults := [_fault(package.reference, package.fault) for package in packages if package.fault]:
        return wanted, faults, None
    for package in needed:
        if package.fault:
            raise UsageError(f"--with={package.reference} {package.fault}")
    require_fit_process()
    with images.open_image(wanted, offline=request.offline) as image:
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
            image=image.name,
        ) as machine:
            attendant.at_begin(machine)
            job = Job(
                request,
                machine,
                family=family,
                family_name=image.family,
                packages=packages,
                needed=needed,
                repositories=repositories,
                units=units,
                addresses=addresses,
                checks=checks,
                deadline=deadline,
            )
            error = _run(PHASES, job, attendant)
            findings = [_as_on_host(machine, finding) for finding in job.findings]
            if error:
                error.what, error.why = machine.as_on_host(error.what), machine.as_on_host(error.why)
            if not job.machine_is_lost:
                attendant.at_end(Result(image.name, findings, time.monotonic() - started, error))
    return image.name, findings, error


def _as_on_host(machine: Container, finding: Finding) -> Finding:
    """Return a finding with the host's proxies as they are called on the host."""
    told = map(machine.as_on_host, (finding.detail, finding.evidence, finding.excerpt))
    detail, evidence, excerpt = told
    return finding._replace(detail=detail, evidence=evidence, excerpt=excerpt)


def _run(phases: Iterable[Phase], job: Job, attendant: Attendant = NOBODY) -> PostrojError | None:
    """Run the phases, and return the error that broke them off, if one did."""
    try:
        for phase in phases:
            phase(job)
            if name := NAMES.get(phase):
                attendant.after_phase(name, passed=job.passed)
    except MachineLostError as error:
        job.machine_is_lost = True
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


def _checks(texts: Sequence[str], units: list[str]) -> "dict[str, Check]":
    """Return the checks by their names, without those that only say that a unit is active: its name is in `units`."""
    if not texts:
        return {}
    from postroj.probe.check import name_of, read
    from postroj.probe.kinds.unit import Unit

    checks = {}
    for check in map(read, texts):
        if isinstance(check, Unit) and check.active:
            units.append(check.name)
            if check == Unit(check.name):
                continue
        checks[name_of(check)] = check
    return checks


def _family(image: "Image", packages: "Sequence[Package]", repositories: "Repositories | None") -> "Family":
    from postroj.package.reference import check_all_fit

    found = check_all_fit(packages, image)
    if repositories:
        repositories.check_fits(image.name, found)
    return found


def _choose(packages: "Sequence[Package]") -> str:
    from postroj.package.choice import choose

    return choose(packages).name


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
