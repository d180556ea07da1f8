"""Whether packages are the earlier release of others."""

from collections.abc import Sequence

from postroj.errors import UsageError
from postroj.package.formats import FORMATS
from postroj.package.reference import Package


def check_earlier(packages: Sequence[Package], earlier: Sequence[Package]) -> None:
    """Raise UsageError unless each package of `earlier` is one of `packages`, in an older version."""
    new = {package.name: package for package in packages}
    for old in earlier:
        given = f"--upgrade-from={old.reference}"
        if old.fault:
            raise UsageError(f"{given} {old.fault}")
        if old.name not in new:
            raise UsageError(f"{given} is {old.name}, and what is under test is {', '.join(new)}")
        _check_older(given, old, new[old.name])


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
