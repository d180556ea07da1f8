"""Whether what was asked for is what is installed, as the guest's package database has it."""

import re
from collections.abc import Sequence

from postroj.contract import Machine
from postroj.deadline import Deadline
from postroj.errors import GuestSetupError, InstallError
from postroj.family import Family
from postroj.family.plan import Plan
from postroj.package.reference import Package

_EPOCH = re.compile("^0+:")
"""An epoch that dpkg does not show."""

_GONE = 3


def check(
    machine: Machine,
    family: Family,
    packages: Sequence[Package],
    words: Sequence[str],
    plan: Plan,
    *,
    deadline: Deadline,
) -> None:
    """Raise InstallError unless each package is installed, at its version, from its file.

    `words` are the packages as the package manager was given them: a file by its path in the guest.
    """
    named = zip(packages, words, strict=True)
    pairs = [part for one, word in named for part in (one.query(family), word if one.file else "")]
    try:
        done = machine.command(family.verify(pairs), deadline=deadline)
    except GuestSetupError as error:
        raise InstallError("after the installation no command can be run in the machine", why=str(error)) from error
    if done.status == _GONE and (tool := done.output.strip()) in ("systemctl", family.command, family.database):
        raise InstallError(f"the installation has removed {tool}")
    lines = done.output.splitlines()
    if done.status != 0 or len(lines) != len(packages):
        raise InstallError(
            f"the installation ended with success, and the guest's {family.database} does not work any more",
            why=done.output,
        )
    for package, line in zip(packages, lines, strict=True):
        _check(package, family, line.split(" "), plan)


def _check(package: Package, family: Family, words: Sequence[str], plan: Plan) -> None:
    status, version, *differ = words if len(words) > 1 else ("unknown", "")
    wanted = _EPOCH.sub("", package.version) or plan.version_of(package.name)
    if status in ("unknown", "not-installed") and not package.file and not wanted:
        return  # a virtual package: one that provides it was chosen
    if status != "installed":
        raise InstallError(
            f"{package.name} is not installed, although {family.command} ended with success: it is {status}"
        )
    if wanted and not family.is_version(wanted, version):
        raise InstallError(f"{package.name} {wanted} was asked for, and {version} is installed")
    if differ:
        raise InstallError(
            f"the {package.name} {version} that is installed does not come from {package.reference}:"
            f" its {' and '.join(differ)} {'is' if len(differ) == 1 else 'are'} not that of the file"
        )
