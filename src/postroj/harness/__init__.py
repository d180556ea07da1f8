"""The harness: from an image and packages to a verdict."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from postroj import image as images
from postroj.container import Bind, Container
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, HostError, MachineLostError, PostrojError, UsageError
from postroj.events import Warn, emit
from postroj.harness import machines
from postroj.harness.attendant import NOBODY, Attendant, can_attend
from postroj.harness.progress import Progress
from postroj.harness.request import Request
from postroj.harness.result import Result, Verdict
from postroj.privileges import is_linux, require_fit_process
from postroj.probe import Finding, Outcome, all_passed
from postroj.probe.unit import unit_name

if TYPE_CHECKING:
    from postroj.cache import Given, Wanted
    from postroj.family import Family
    from postroj.harness.attendant import AnyMachine
    from postroj.harness.job import Job, Phase
    from postroj.image.store import Image
    from postroj.package.reference import Installing, Package
    from postroj.package.repository import Repositories
    from postroj.probe.judge import Check
    from postroj.probe.network import Address

_Broken = PostrojError | None

__all__ = ["Attendant", "Progress", "Request", "Result", "Verdict", "pkgprobe", "probe"]


def pkgprobe(request: Request) -> Result:
    """Boot the image, install the packages, run the checks.

    Raises UsageError before anything boots, also if there is nothing to check. Any other error is in the result, with
    what was found before it. A package whose header alone is wrong has failed, without a boot.
    """
    return probe(request, Progress(request.image or ""))


def probe(request: Request, progress: Progress, attendant: Attendant = NOBODY) -> Result:
    """Do what pkgprobe does; `progress` tells what was found so far, if a signal or a bug ends it by an exception.

    The attendant is told of the moments at which the machine can be looked at.
    """
    if not (request.packages or request.units or request.networks or request.checks):
        raise UsageError("there is nothing to check", hint="give --package, --check-unit, --check-network or --check")
    if request.baseline:
        return _compared(request, progress, attendant)
    try:
        return progress.result(_probe(request, progress, attendant))
    except UsageError:
        raise
    except PostrojError as error:
        return progress.result(error)


def _compared(request: Request, progress: Progress, attendant: Attendant) -> Result:
    """Probe an earlier release as well, and return what is worse with the new one."""
    if not request.packages:
        raise UsageError("a baseline is an earlier release of a package", hint="give the package by --package")
    from postroj.harness.life.earlier import check_differ, check_same, of_baseline

    deadline = Deadline(request.timeout)
    packages = _packages(request.packages, request, deadline)
    baseline, earlier = (
        _packages(some, request, deadline, older_than=packages) for some in (request.baseline, request.earlier)
    )
    check_same(packages, baseline, "--baseline")
    check_differ(packages, baseline)
    image = request.image or _choose(packages)
    progress.baseline = pkgprobe(of_baseline(request, baseline, earlier)._replace(image=image))
    return probe(request._replace(image=image, baseline=()), progress, attendant)


def _probe(request: Request, progress: Progress, attendant: Attendant) -> PostrojError | None:
    """Do it, and return the error that broke it off, if one did."""
    deadline = Deadline(request.timeout)
    units = [unit_name(unit) for unit in request.units]
    addresses = _addresses(request.networks)
    checks = _checks(request.checks, units)
    of_vm = None
    if request.image is not None:
        of_vm = images.find_vm(request.image, vm=request.vm, provider=request.provider)
        if not of_vm:
            images.check_name(request.image)
    phases, artifacts = _phases(request), _artifacts(request)
    packages, needed = (_packages(some, request, deadline) for some in (request.packages, request.needed))
    earlier = _packages(request.earlier, request, deadline, older_than=packages)
    if earlier:
        from postroj.harness.life.earlier import check_earlier

        check_earlier(packages, earlier)
    repositories = _repositories(request, deadline)
    wanted = _choose(packages) if request.image is None else request.image
    progress.image, progress.packages, progress.request = wanted, packages, request
    if faults := [_fault(package.reference, package.fault) for package in packages if package.fault]:
        progress.faults = faults
        return None
    for package in needed:
        if package.fault:
            raise UsageError(f"--with={package.reference} {package.fault}")
    if request.image is not None:
        if not of_vm or of_vm.family:  # otherwise the guest tells
            _check_installable([*packages, *needed], request.image, of_vm.family if of_vm else "")
    elif request.vm or request.provider:
        of_vm = images.find_vm(wanted, vm=request.vm, provider=request.provider)
    if is_linux() or not of_vm:
        require_fit_process()
    groups = (packages, needed, earlier)
    together = [*packages, *needed, *earlier]  # Job.number_of
    files = [(package.file, package.guest_name(n)) for n, package in enumerate(together) if package.file]

    def run(machine: "AnyMachine", family: "Family | None", family_name: str, given: "Given | None") -> _Broken:
        from postroj.harness.job import Job
        from postroj.harness.steps import DEFAULT

        if can_attend(machine):
            attendant.at_begin(machine)
        elif attendant.wants_machine:  # it was not known before the boot
            raise UsageError(f"{machine.name} cannot be kept or entered: only Linux guests can")
        job = Job(
            request,
            machine,
            family=family,
            family_name=family_name,
            packages=packages,
            needed=needed,
            earlier=earlier,
            repositories=repositories,
            units=units,
            addresses=addresses,
            checks=checks,
            deadline=deadline,
            given=given,
        )
        progress.job, progress.machine = job, machine
        with _kept(job, machine, artifacts):
            error = _run(phases or DEFAULT, job, attendant)
        if not job.is_over:
            attendant.at_end(progress.result(error))
        return error

    if of_vm and of_vm.box:
        from postroj.package import guest

        progress.image = of_vm.name
        vm = machines.vm(of_vm, files, request.vm_wait, None, deadline, offline=request.offline)
        with vm as (machine, _):
            told = guest.look(machine, of_vm.name, of_vm.family, deadline=deadline)
            return run(machine, _family(told, together, repositories) if together else None, told.family, None)
    with images.open_image(wanted, offline=request.offline) as image:
        progress.image = image.name
        images.check_boots(image)
        family = _family(image, together, repositories) if together else None
        binds = machines.binds(files)
        container = partial(
            Container, image.root, image.machine, binds=binds, options=request.options, deadline=deadline,
            proxies=bool(together), image=image.name, meanwhile=_import_rest,
        )  # fmt: skip
        wanted_packages = _wanted(request, image, family, groups, binds, repositories)
        started = partial(machines.booted, container)
        if of_vm:
            started = partial(machines.vm, of_vm, files, request.vm_wait, offline=request.offline)
        with started(wanted_packages, deadline) as (machine, given):
            return run(machine, family, image.family, given)


@contextmanager
def _kept(job: "Job", machine: "AnyMachine", directory: str) -> Iterator[None]:
    """Keep the artifacts of what is done in the block, whatever ends it."""
    if not directory:
        yield
        return
    from postroj.harness.artifacts import Artifacts

    artifacts = Artifacts(directory)
    job.at_phase_end = lambda: artifacts.end_phase(job)
    try:
        yield
    except Exception:
        artifacts.collect(job)
        raise
    except BaseException:
        with suppress(PostrojError):
            machine.reconnect()
            artifacts.end_phase(job)
            artifacts.collect(job)
        raise
    artifacts.collect(job)


def _run(phases: "Iterable[Phase]", job: "Job", attendant: Attendant = NOBODY) -> PostrojError | None:
    """Run the phases, and return the error that broke them off, if one did."""
    try:
        for phase in phases:
            job.run(phase)
            attendant.after_phase(phase.name, passed=all_passed(job.findings))
    except MachineLostError as error:
        job.is_over = True
        if not (job.packages and error.by_guest):
            return error
        # Nothing but what was installed can have done this.
        job.add(Finding("machine", Outcome.FAILED, error.what))
    except DeadlineError as error:
        if not any(finding.outcome is Outcome.FAILED for finding in job.findings):
            return _out_of_memory(job, error)
        # What has failed has failed, whatever else would have been found.
        job.add(Finding("what was left to do", Outcome.SKIPPED, f"not tried: {error.what}"))
    except PostrojError as error:
        return _out_of_memory(job, error)
    return _out_of_memory(job)


def _fault(reference: str, fault: str) -> Finding:
    return Finding(f"package {reference}", Outcome.FAILED, fault)


def _out_of_memory(job: "Job", error: PostrojError | None = None) -> PostrojError | None:
    """Return an error if something failed for want of memory: another machine, or more memory, may tell.

    `error` is what broke the phases off, and is returned if it was not that.
    """
    kills = 0
    if not isinstance(error, MachineLostError):
        with suppress(MachineLostError):  # a VM that is gone cannot tell
            kills = job.machine.out_of_memory()
    if not kills:
        return error
    what = f"the kernel's OOM killer ended processes in the machine ({kills})"
    if error or not all_passed(job.findings):
        told = f"no verdict: {what}" + (f": {error.what}" if error else "")
        from postroj.limits import more_memory

        hint = more_memory(own_kernel=job.machine.capabilities.own_kernel)
        return HostError(told, why=error.why if error else "", hint=hint)
    emit(Warn(what))
    return None


# Imported on use: what a boot does not need is not imported before it.


def _import_rest() -> None:
    from postroj.harness import services, steps  # noqa: F401


def _addresses(texts: Sequence[str]) -> "list[Address]":
    if not texts:
        return []
    from postroj.probe.network import parse

    return [parse(text) for text in texts]


def _phases(request: Request) -> "Sequence[Phase]":
    """Return the phases that are asked for; none if none are."""
    if not request.phases:
        if request.allow or request.earlier:
            what = "--allow" if request.allow else "--upgrade-from"
            raise UsageError(f"{what} is about the life of a package", hint="give --lifecycle or --phase")
        return ()
    from postroj.harness.life import check_has_earlier, check_uses, read

    phases = read(request.phases, has_packages=bool(request.packages), allow=request.allow)
    check_has_earlier(request.phases, has_earlier=bool(request.earlier))
    check_uses(request.phases, units=bool(request.units), checks=bool(request.networks or request.checks))
    return phases


def _artifacts(request: Request) -> str:
    """Return the directory for artifacts; empty for none."""
    if not request.artifacts:
        return ""
    from postroj.harness.artifacts import clear, prepare

    directory = prepare(request.artifacts)
    clear(directory)
    return directory


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


def _family(image: "Installing", packages: "Sequence[Package]", repositories: "Repositories | None") -> "Family":
    from postroj.package.reference import check_all_fit

    found = check_all_fit(packages, image)
    if repositories:
        repositories.check_fits(image.name, found)
    return found


def _wanted(
    request: Request,
    image: "Image",
    family: "Family | None",
    groups: "Sequence[Sequence[Package]]",
    binds: Sequence[Bind],
    repositories: "Repositories | None",
) -> "Wanted | None":
    """Return what the machine wants of the package cache; None for nothing."""
    if family is None or request.offline or not request.cache_size:
        return None
    from postroj.harness import supply

    return supply.wanted(request, image, family, groups, binds, repositories)


def _check_installable(packages: "Sequence[Package]", image: str, family: str) -> None:
    if packages:
        from postroj.package.reference import check_all_installable

        check_all_installable(packages, image, family)


def _choose(packages: "Sequence[Package]") -> str:
    from postroj.package.choice import choose

    return choose(packages).name


def _packages(
    references: Sequence[str], request: Request, deadline: Deadline, *, older_than: "Sequence[Package]" = ()
) -> "list[Package]":
    if not references:
        return []
    from postroj.package.reference import open_packages

    return open_packages(references, deadline=deadline, offline=request.offline, older_than=older_than)


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
