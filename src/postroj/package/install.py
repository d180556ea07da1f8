"""Installing packages in a guest, in steps that tell whose fault a failure is."""

import os
import shlex
from collections.abc import Collection, Sequence
from typing import NamedTuple

from postroj import limits
from postroj.contract import Completed, Machine
from postroj.deadline import Deadline
from postroj.errors import (
    DeadlineError,
    GuestSetupError,
    HostError,
    InstallError,
    LimitError,
    NotInstalledError,
    PostrojError,
)
from postroj.events import Step, Warn, emit
from postroj.family import Commands, Family
from postroj.family.plan import Plan
from postroj.family.reason import UNKNOWN, Reason
from postroj.lastwords import end_of
from postroj.package import disk, processes, prompts, verify
from postroj.package.reference import Package, called

_DEEPEST = 5
"""How many dependencies of dependencies are asked for, to find the one that is not met."""
_LOOK_SECONDS = 20.0
_OF_KEYS = (
    "a repository that you add needs its own key (--repo-key), or --repo-unsigned if it has no signatures;"
    " if it is one of the image's, pull that again"
)


class Installed(NamedTuple):
    """What an installation has done."""

    commands: Sequence[str] = ()
    """The commands that changed the guest, as they could be typed."""
    plan: Plan = Plan()
    asked: Sequence[str] = ()
    """The names of the packages that were asked for."""
    left: str = ""
    """Processes that it has left outside any unit, as a list in a sentence; empty for none."""

    def report(self) -> str:
        """Return what was done, in lines."""
        besides = [
            " ".join(filter(None, (one.name, one.version, f"(before: {one.old})" if one.old else "")))
            for one in self.plan.installed
            if one.name not in self.asked
        ]
        lines = [f"$ {command}" for command in self.commands]
        for what, names in (
            ("installed besides", besides),
            ("removed", self.plan.removed),
            ("recommended, and in no package list", self.plan.missing),
        ):
            if names:
                lines.append(f"{what}: {', '.join(names)}")
        return "\n".join(lines)


def install(
    machine: Machine,
    family: Family,
    packages: Sequence[Package],
    *,
    deadline: Deadline,
    offline: bool = False,
    first: int = 0,
) -> Installed:
    """Install packages, and see that they are what is installed then.

    Files are tried without the repositories first, to save the time that their lists take; if `offline`, without them
    only. Raises InstallError if it is the package's fault, LimitError if this machine lacks what it needs, HostError if
    the repositories cannot be reached, or may not be, or the guest's disk is full. `first` is the number of the first
    package: Package.guest_name.
    """
    return _Installation(machine, family, packages, deadline, offline, first).run()


class _Installation:
    """One call of `install`."""

    def __init__(
        self,
        machine: Machine,
        family: Family,
        packages: Sequence[Package],
        deadline: Deadline,
        offline: bool,
        first: int,
    ) -> None:
        self._machine = machine
        self._family = family
        self._packages = packages
        self._words = [
            package.guest_name(number) if package.file else family.spec(package.reference)
            for number, package in enumerate(packages, first)
        ]
        self._again: Collection[str] = ()
        self._lists = False
        self._names = called(packages, lambda one: os.path.basename(one.file) or one.reference)
        self._deadline = deadline
        self._offline = offline
        self._commands: list[str] = []
        self._watcher = processes.InstallWatcher((family.command, family.database))

    def run(self) -> Installed:
        """Do all of it."""
        steps = self._resolve()
        self._install()
        verify.check(self._machine, self._family, self._packages, self._words, steps, deadline=self._deadline)
        asked = [package.name for package in self._packages]
        left = [one for one in self._watcher.left if one.name not in self._family.own_daemons]
        return Installed(self._commands, steps, asked, processes.names(left) if left else "")

    def _resolve(self) -> Plan:
        """Find out what is to be installed, and download it."""
        resolved = self._run(self._family.resolve(self._words, lists=False))
        steps = self._family.plan(resolved.output)
        if (
            self._family.resolved(resolved)
            and not steps.needs_lists
            and all(package.file for package in self._packages)
        ):
            self._again = self._unchanged(steps)
            return steps
        if self._offline:
            return self._without_lists(resolved, steps)
        self._lists = True
        unreachable = "the guest cannot reach its package repositories"
        updated = self._must([self._family.update()], "updating package lists", unreachable)
        if self._family.is_outdated(updated.output):
            raise HostError(unreachable, why=end_of(updated.output))
        resolved = self._run(self._family.resolve(self._words, lists=True))
        if not self._family.resolved(resolved):
            raise self._unmet(resolved)
        steps = self._family.plan(resolved.output)
        self._again = self._unchanged(steps)
        what = "the guest cannot download the required packages"
        self._must(self._family.fetch(self._words, again=self._again), f"downloading {self._names}", what)
        return steps

    def _without_lists(self, resolved: Completed, steps: Plan) -> Plan:
        """Return the plan if nothing but recommended packages is left out. Raises HostError with what is needed."""
        wanted = [step.name for step in steps.installed if not step.is_local]
        wanted += [package.reference for package in self._packages if not package.file]
        if wanted or not self._family.resolved(resolved):
            lacks = self._family.reason(resolved.output).what or f"{self._family.command} refuses"
            told = f"it takes a download of {', '.join(dict.fromkeys(wanted))[:300]}" if wanted else lacks
            raise HostError(
                f"{self._names} cannot be installed with what the image has: {told}, and --offline forbids downloads",
                why="" if wanted else end_of(resolved.output),
                hint="leave --offline out",
            )
        emit(Warn(f"recommended packages are left out, as --offline forbids downloads: {', '.join(steps.missing)}"))
        self._again = self._unchanged(steps)
        return steps

    def _unchanged(self, steps: Plan) -> list[str]:
        """Return the packages that are there in the same version, and have to be installed again."""
        named = zip(self._words, self._packages, strict=True)
        return [word for word, package in named if package.name in steps.unchanged]

    def _install(self) -> None:
        emit(Step(self._machine.name, f"installing {self._names}"))
        for argv in self._family.install(self._words, again=self._again, lists=self._lists):
            self._commands.append(self._typed(argv))
            try:
                done = self._machine.command(
                    argv, deadline=self._deadline, env=self._family.environment, watcher=self._watcher
                )
            except processes.HeldError as error:
                raise self._held(error) from error
            except DeadlineError as error:
                raise self._overdue(error) from error
            if not self._family.succeeded(done):
                raise self._failed(done, self._family.reason(done.output, done.status))
            if (broken := self._family.broken(done.output)).what:
                raise self._failed(done, broken)

    def _held(self, error: processes.HeldError) -> NotInstalledError:
        script = self._family.running(error.why)
        what = f"{error.holder}, which {script or 'the installation'} has left running, holds the installation open"
        told = self._error(InstallError, f"{what}: {error.waiting} waits until it closes a pipe", error.why)
        told.hint = "leave daemons to systemd, or start them with all of `</dev/null >/dev/null 2>&1 3>&-`"
        return told

    def _overdue(self, error: DeadlineError) -> PostrojError:
        """Return whose fault it is that the installation had not ended when --timeout expired."""
        script = self._family.running(error.why)
        working = processes.names(self._watcher.working) if self._watcher.working else ""
        if script and self._watcher.is_stuck:
            what = f"{script} hangs: {working} was idle, with no connection to wait for, when --timeout expired"
            return self._error(InstallError, what, error.why)
        what = f"--timeout expired while {self._names} was being installed"
        if working:
            what += f": {working} still running" + (f" in {script}" if script else "")
        return DeadlineError(what, why=end_of(error.why, 10), hint=error.hint)

    def _unmet(self, resolved: Completed) -> NotInstalledError:
        """Return why it is refused; a package of which no more than that is said is asked for as well."""
        asked = list(self._words)
        found = self._family.reason(resolved.output)
        while found.missing and found.missing not in asked and len(asked) < len(self._words) + _DEEPEST:
            asked.append(found.missing)
            again = self._run(self._family.resolve(asked, lists=True))
            inner = self._family.reason(again.output)
            if self._family.resolved(again) or not inner.what:
                break
            resolved, found = again, inner
        what = found.what or f"{self._names} cannot be installed"
        return self._error(InstallError, what, resolved.output, found)

    def _failed(self, done: Completed, found: Reason) -> PostrojError:
        """Return whose fault it is that the installation failed."""
        disk.check(self._machine, done.output, f"{self._names} could not be installed")
        if self._lists and not found.script:
            self._must_trust(done)  # dnf 5 checks signatures no sooner
        script = self._script_of(found)
        if limit := limits.of_last_words(found.words, script):
            told = self._error(LimitError, f"this machine cannot tell: {limit.what}", done.output, found)
            told.hint = limit.hint
            return told
        what = found.what or f"{self._names} did not install (status {done.status})"
        if script and (asks := prompts.of_script(script, found.words, self._family.environment)):
            what = f"the {found.script} of {found.package} {asks}"
        elif script and not found.words:
            what += prompts.last_test(script)
        return self._error(InstallError, what, done.output, found)

    def _error(
        self, kind: type[NotInstalledError], what: str, output: str, found: Reason = UNKNOWN
    ) -> NotInstalledError:
        error = kind(what, why="\n".join([*(f"$ {command}" for command in self._commands), output.strip()]))
        error.excerpt = found.excerpt(output)
        return error

    def _script_of(self, found: Reason) -> str:
        """Return the text of the maintainer script that failed, as far as the guest still has it."""
        named = zip(self._words, self._packages, strict=True)
        files = (word for word, one in named if one.file and one.name == found.package)
        argv = self._family.script(found, next(files, "")) if found.script else []
        if not argv:
            return ""
        try:
            done = self._machine.command(argv, deadline=self._deadline.sooner(_LOOK_SECONDS))
        except (DeadlineError, GuestSetupError):
            return ""
        return done.output if done.status == 0 else ""

    def _run(self, commands: Commands, doing: str = "resolving dependencies") -> Completed:
        """Run commands until one fails; the output is that of all."""
        output = ""
        done = Completed(0, "")
        for argv in commands:
            try:
                done = self._machine.command(argv, deadline=self._deadline, env=self._family.environment)
            except DeadlineError as error:
                raise DeadlineError(
                    f"--timeout expired while {doing}", why=end_of(error.why, 10), hint=error.hint
                ) from error
            if done.status != 0:
                disk.check(self._machine, done.output, f"{self._names} could not be installed")
            output += done.output
            if not self._family.resolved(done):
                break
        return Completed(done.status, output)

    def _must(self, commands: Commands, doing: str, what: str) -> Completed:
        emit(Step(self._machine.name, doing))
        self._commands += map(self._typed, commands)
        done = self._run(commands, doing)
        if not self._family.succeeded(done):
            self._must_trust(done)
            raise HostError(what, why=end_of(done.output), hint="check the host's network with `postroj doctor`")
        return done

    def _must_trust(self, done: Completed) -> None:
        if distrusted := self._family.distrusted(done.output):
            raise HostError(f"a package repository {distrusted}", why=end_of(done.output), hint=_OF_KEYS)

    def _typed(self, argv: Sequence[str]) -> str:
        variables = (f"{name}={value}" for name, value in self._family.environment.items())
        return " ".join([*variables, shlex.join(argv)])
