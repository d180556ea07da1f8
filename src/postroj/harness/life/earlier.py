"""Whether packages are the earlier release of others."""

import filecmp
from collections.abc import Sequence

from postroj.errors import UsageError
from postroj.harness.request import Request
from postroj.package.formats import FORMATS
from postroj.package.reference import Package


def check_earlier(packages: Sequence[Package], earlier: Sequence[Package]) -> None:
    """Raise UsageError unless each package of `earlier` is one of `packages`, in an older version."""
    check_same(packages, earlier, "--upgrade-from")
    new = {package.name: package for package in packages}
    for old in earlier:
        _check_older(f"--upgrade-from={old.reference}", old, new[old.name])


def check_same(packages: Sequence[Package], others: Sequence[Package], option: str) -> None:
    """Raise UsageError unless each of the others is a release of one of the packages; `option` has named it."""
    names = [package.name for package in packages]
    for other in others:
        if other.fault:
            raise UsageError(f"{option}={other.reference} {other.fault}")
        if other.name not in names:
            raise UsageError(
                f"{option}={other.reference} is {other.name}, and what is under test is {', '.join(names)}"
            )


def check_differ(packages: Sequence[Package], baseline: Sequence[Package]) -> None:
    """Raise UsageError if a package is its own baseline: all that it does would be as before."""
    for old in baseline:
        if any(_is_same(old, new) for new in packages if new.name == old.name):
            raise UsageError(f"--baseline={old.reference} is the package under test", hint="give its earlier release")


def _is_same(old: Package, new: Package) -> bool:
    if not (old.file and new.file):
        return old.reference == new.reference
    return filecmp.cmp(old.file, new.file, shallow=False)


def of_baseline(request: Request, baseline: Sequence[Package], earlier: Sequence[Package]) -> Request:
    """Return what is asked of a baseline: if it is itself the earlier release, there is no upgrade to it."""
    released = {(one.name, one.version) for one in baseline if one.file}
    asked = request._replace(packages=request.baseline, baseline=())
    if not any((one.name, one.version) in released for one in earlier if one.file):
        return asked
    phases = tuple(phase for phase in request.phases if phase not in ("upgrade", "downgrade"))
    if not phases:
        raise UsageError(
            "--baseline and --upgrade-from are the same release, and only an upgrade is asked for",
            hint="leave --baseline out",
        )
    return asked._replace(phases=phases, earlier=())


def _check_older(given: str, old: Package, new: Package) -> None:
    if not (old.file and new.file):
        return  # the version of a name is known in the guest only
    if old.format != new.format:
        raise UsageError(f"{given} is {FORMATS[old.format].title}, and {new.reference} is {FORMATS[new.format].title}")
    if old.architecture != new.architecture and FORMATS[old.format].every not in (old.architecture, new.architecture):
        raise UsageError(f"{given} is for {old.architecture}, and {new.reference} for {new.architecture}")
    if old.version == new.version:
        raise UsageError(f"{given} has the version {old.version}, as {new.reference} has")
    if FORMATS[old.format].is_newer(old.version, new.version):
        raise UsageError(f"{given} has the version {old.version}, which is newer than {new.version}")
