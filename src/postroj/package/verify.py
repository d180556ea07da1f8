"""Whether what was asked for is what is installed, as the guest's dpkg has it."""

import re
from collections.abc import Sequence

from postroj.deadline import Deadline
from postroj.errors import GuestSetupError, InstallError
from postroj.machine import Machine
from postroj.package.plan import Plan
from postroj.package.reference import Package

_EPOCH = re.compile("^0+:")
"""An epoch that dpkg does not show."""

_GONE = 3

# Its arguments are pairs: a package as dpkg-query(1) takes it, and its file, empty for one from the repositories.
# Printed is a line for each: the status, the version, and what of its maintainer scripts and lists, as dpkg keeps them,
# is not that of the file.
_SCRIPT = r"""
for tool in systemctl apt-get dpkg; do
    command -v $tool >/dev/null || { echo $tool; exit 3; }
done
directory=$(mktemp -d -p /run) || exit 1
trap 'rm -rf "$directory"' EXIT
while [ $# -gt 0 ]; do
    state=$(dpkg-query --show --showformat='${db:Status-Status} ${Version}' -- "$1" 2>/dev/null)
    [ $? -le 1 ] || exit 1  # 1: there is no such package
    differ=
    if [ -n "$2" ] && [ "${state%% *}" = installed ]; then
        rm -rf "$directory/file"
        dpkg-deb --control "$2" "$directory/file" || exit 1
        # Without its warnings: it has one for each package of the guest that lacks a field, such as Maintainer.
        for kept in $(dpkg-query --control-path "$1" 2>/dev/null); do
            new=$directory/file/${kept##*.}
            [ ! -e "$new" ] || cmp -s -- "$kept" "$new" || differ="$differ ${kept##*.}"
        done
    fi
    printf '%s\n' "${state:-unknown -}$differ"
    shift 2
done
"""


def check(machine: Machine, packages: Sequence[Package], plan: Plan, *, deadline: Deadline) -> None:
    """Raise InstallError unless each package is installed, at its version, from its file."""
    pairs = [word for number, one in enumerate(packages) for word in (one.query, _file(one, number))]
    try:
        done = machine.command(["sh", "-c", _SCRIPT, "sh", *pairs], deadline=deadline)
    except GuestSetupError as error:
        raise InstallError("after the installation no command can be run in the machine", why=str(error)) from error
    if done.status == _GONE and (tool := done.output.strip()) in ("systemctl", "apt-get", "dpkg"):
        raise InstallError(f"the installation has removed {tool}")
    lines = done.output.splitlines()
    if done.status != 0 or len(lines) != len(packages):
        raise InstallError(
            "the installation ended with success, and the guest's dpkg does not work any more", why=done.output
        )
    for package, line in zip(packages, lines, strict=True):
        _check(package, line.split(" "), plan)


def _check(package: Package, words: Sequence[str], plan: Plan) -> None:
    status, version, *differ = words if len(words) > 1 else ("unknown", "")
    wanted = _EPOCH.sub("", package.version) or plan.version_of(package.name)
    if status in ("unknown", "not-installed") and not package.file and not wanted:
        return  # a virtual package: apt-get has chosen one that provides it
    if status != "installed":
        raise InstallError(f"{package.name} is not installed, although apt-get ended with success: it is {status}")
    if wanted and version != wanted:
        raise InstallError(f"{package.name} {wanted} was asked for, and {version} is installed")
    if differ:
        raise InstallError(
            f"the {package.name} {version} that is installed does not come from {package.reference}:"
            f" its {' and '.join(differ)} {'is' if len(differ) == 1 else 'are'} not that of the file"
        )


def _file(package: Package, number: int) -> str:
    return package.guest_name(number) if package.file else ""
