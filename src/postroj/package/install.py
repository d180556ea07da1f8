"""Installing packages in a guest, in steps that tell whose fault a failure is."""

import os
from collections.abc import Sequence

from postroj.deadline import Deadline
from postroj.errors import DeadlineError, HostError, InstallError
from postroj.events import Step, emit
from postroj.machine import Completed, Machine
from postroj.package import apt
from postroj.package.reason import reason

INSTALL_SECONDS = 900.0
"""How long the package manager may take, once all is downloaded, before that is the package's fault."""
_FULL = "No space left on device"
_NEARLY_FULL = 64 * 1024 * 1024


def install(machine: Machine, packages: Sequence[str], *, from_repositories: bool, deadline: Deadline) -> str:
    """Install packages, files by their path in the guest, and return what the package manager printed.

    `from_repositories` says that the repositories are needed in any case; files are tried without them first.
    Raises InstallError where it is the package's fault, HostError where the repositories cannot be reached or the
    guest's disk is full.
    """

    def run(argv: list[str]) -> Completed:
        return machine.command(argv, deadline=deadline, env=apt.ENVIRONMENT)

    def must(argv: list[str], what: str) -> Completed:
        done = run(argv)
        if done.status != 0:
            raise HostError(what, why=_last(done.output), hint="check the host's network with `postroj doctor`")
        return done

    names = ", ".join(os.path.basename(package) if package.startswith("/") else package for package in packages)
    resolved = run(apt.resolve(packages))
    if from_repositories or resolved.status != 0 or apt.needs_download(resolved.output):
        emit(Step(machine.name, "brings the package lists"))
        unreachable = "the guest cannot reach its package repositories"
        updated = must(apt.update(), unreachable)
        if apt.INCOMPLETE in updated.output:
            raise HostError(unreachable, why=_last(updated.output))
        resolved = run(apt.resolve(packages))
        if resolved.status != 0:
            raise InstallError(_told(f"{names} cannot be installed", resolved.output), why=_last(resolved.output))
        emit(Step(machine.name, f"downloads {names}"))
        must(apt.fetch(packages), "the guest cannot download what the installation takes")
    emit(Step(machine.name, f"installs {names}"))
    try:
        done = machine.command(apt.install(packages), deadline=deadline.sooner(INSTALL_SECONDS), env=apt.ENVIRONMENT)
    except DeadlineError as error:
        if deadline.expired():  # and who used it up is not known
            raise
        raise InstallError(f"the installation of {names} did not end within {INSTALL_SECONDS:g} s") from error
    if done.status != 0:
        if _FULL in done.output and machine.free_bytes() < _NEARLY_FULL:
            raise HostError(
                f"the guest's disk is full: {names} could not be installed",
                why=_last(done.output),
                hint="the guest writes to memory, half of the host's at most: give the host more",
            )
        raise InstallError(
            _told(f"{names} did not install (status {done.status})", done.output), why=_last(done.output)
        )
    return done.output


def _told(what: str, output: str) -> str:
    return reason(output) or what


def _last(output: str, lines: int = 40) -> str:
    return "\n".join(output.strip().splitlines()[-lines:])
