"""One change of what is installed in a guest: its commands are run and watched, and a failure is explained."""

import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from postroj import limits
from postroj.contract import Completed, Machine, Process
from postroj.deadline import Deadline
from postroj.errors import (
    DeadlineError,
    GuestSetupError,
    HostError,
    InstallError,
    LimitError,
    NotInstalledError,
    PostrojError,
    RemoveError,
)
from postroj.events import Step, emit
from postroj.family import Commands, Family
from postroj.family.reason import UNKNOWN, Reason
from postroj.lastwords import end_of
from postroj.package import disk, processes, prompts, units

_LOOK_SECONDS = 20.0
_WAIT_FOR_UNITS = ("systemctl", "deb-systemd-inv")
"""The names of programs that wait for the start of a unit, as ps(1) shows them."""
_OF_KEYS = (
    "a repository that you add needs its own key (--repo-key), or --repo-unsigned if it has no signatures;"
    " if it is one of the image's, pull that again"
)


class Kind(NamedTuple):
    """A kind of change, in words."""

    noun: str
    past: str
    failed: str
    """A verb, for a package of which no more can be said."""
    error: type[NotInstalledError]
    """What is raised if the package is to blame."""


INSTALLATION = Kind("installation", "installed", "did not install", InstallError)
REMOVAL = Kind("removal", "removed", "could not be removed", RemoveError)
PURGE = Kind("purge", "purged", "could not be purged", RemoveError)


class Transaction:
    """The commands of one change, one after the other, and the processes that run meanwhile."""

    def __init__(
        self,
        machine: Machine,
        family: Family,
        kind: Kind,
        names: str,
        *,
        deadline: Deadline,
        files: Mapping[str, str] | None = None,
    ) -> None:
        """`names` is what to call the packages in a message; `files` are paths in the guest, by the package's name."""
        self.commands: list[str] = []
        """Those that changed the guest, as they could be typed."""
        self._machine = machine
        self._family = family
        self._kind = kind
        self._names = names
        self._files = files or {}
        self._deadline = deadline
        self._watcher = processes.InstallWatcher(
            (family.command, family.database), lambda text: emit(Step(machine.name, text))
        )

    @property
    def left(self) -> str:
        """Processes that it has left outside any unit, as a list in a sentence; empty for none."""
        left = [one for one in self._watcher.left if one.name not in self._family.own_daemons]
        return processes.names(left) if left else ""

    def note(self, commands: Commands) -> None:
        """Add commands to those that are shown."""
        variables = [f"{name}={value}" for name, value in self._family.environment.items()]
        self.commands += [" ".join([*variables, shlex.join(argv)]) for argv in commands]

    def ask(self, commands: Commands, doing: str = "resolving dependencies") -> Completed:
        """Run commands that install and remove nothing, until one fails; the output is that of all.

        Raises DeadlineError, with what it was `doing`, and HostError if the guest's disk is full.
        """
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
                self._check_disk(done.output)
            output += done.output
            if not self._family.resolved(done):
                break
        return Completed(done.status, output)

    def change(self, commands: Commands, *, has_repositories: bool = False) -> str:
        """Run the commands that change the guest, and return what they have printed.

        If one fails, raises the error of its kind if the package is to blame, LimitError if the machine lacks what it
        needs, HostError if the guest's disk is full, and DeadlineError if it takes too long. With `has_repositories`
        packages may come from them: it is HostError as well if one is not trusted.
        """
        output = ""
        for argv in commands:
            self.note([argv])
            try:
                done = self._machine.command(
                    argv, deadline=self._deadline, env=self._family.environment, watcher=self._watcher
                )
            except processes.HeldError as error:
                raise self._held(error) from error
            except processes.ForegroundError as error:
                raise self._in_foreground(error.process, error.why) from error
            except DeadlineError as error:
                raise self._overdue(error) from error
            if not self._family.succeeded(done):
                found = self._family.reason(done.output, done.status)
                if has_repositories and not found.script:
                    self.check_trust(done.output)  # dnf 5 checks signatures no sooner
                raise self._failed(done, found)
            if (broken := self._family.broken(done.output)).what:
                raise self._failed(done, broken)
            output += done.output
        return output

    def check_trust(self, output: str) -> None:
        """Raise HostError if the package manager has said that it does not trust a repository."""
        if distrusted := self._family.distrusted(output):
            raise HostError(f"a package repository {distrusted}", why=end_of(output), hint=_OF_KEYS)

    def blame(self, what: str, output: str, found: Reason = UNKNOWN) -> NotInstalledError:
        """Return the error that blames the package, with all commands and what the last one has printed."""
        return self._error(self._kind.error, what, output, found)

    def _error(
        self, kind: type[NotInstalledError], what: str, output: str, found: Reason = UNKNOWN
    ) -> NotInstalledError:
        error = kind(what, why="\n".join([*(f"$ {command}" for command in self.commands), output.strip()]))
        error.excerpt = found.excerpt(output)
        return error

    def _held(self, error: processes.HeldError) -> NotInstalledError:
        script = self._running(error.why)
        noun = self._kind.noun
        what = f"{error.holder}, which {script or f'the {noun}'} has left running, holds the {noun} open"
        told = self.blame(f"{what}: {error.waiting} waits until it closes a pipe", error.why)
        told.hint = "leave daemons to systemd, or start them with all of `</dev/null >/dev/null 2>&1 3>&-`"
        return told

    def _in_foreground(self, process: Process, output: str) -> NotInstalledError:
        script = self._running(output) or f"the {self._kind.noun}"
        told = self.blame(processes.in_foreground(process, script), output)
        told.hint = "a script leaves daemons to systemd: it starts the unit"
        return told

    def _overdue(self, error: DeadlineError) -> PostrojError:
        """Return whose fault it is that it had not ended when --timeout expired."""
        script = self._running(error.why)
        working = processes.names(self._watcher.working) if self._watcher.working else ""
        if script and self._watcher.is_stuck:
            if listener := next((one for one in self._watcher.working if one.listens), None):
                return self._in_foreground(listener, error.why)
            what = f"{script} hangs: {working} was idle, with no connection to wait for, when --timeout expired"
            return self.blame(what, error.why)
        what = f"--timeout expired while {self._names} was being {self._kind.past}"
        if script and any(one.name in _WAIT_FOR_UNITS for one in self._watcher.working):
            unit = self._starting()
            if unit and unit.is_endless:
                return self.blame(f"{script} waits for {unit.told}", error.why)
            if unit:
                return DeadlineError(
                    f"{what}: {script} waits for {unit.told}", why=end_of(error.why, 10), hint=error.hint
                )
        if working:
            what += f": {working} still running" + (f" in {script}" if script else "")
        return DeadlineError(what, why=end_of(error.why, 10), hint=error.hint)

    def _starting(self) -> units.Starting | None:
        """Return the unit whose start systemd has not finished, and a script may wait for."""
        if not self._machine.capabilities.systemd:
            return None
        return units.starting(lambda argv: self._ask(argv, Deadline(_LOOK_SECONDS)))

    def _running(self, output: str) -> str:
        return self._family.running(output, [one.name for one in self._watcher.seen])

    def _failed(self, done: Completed, found: Reason) -> PostrojError:
        """Return whose fault it is that a command failed."""
        self._check_disk(done.output)
        if why := self._family.of_machine(done.output):
            raise HostError(f"{self._names} could not be {self._kind.past}: {why}", why=end_of(done.output))
        script = self._script_of(found)
        if limit := limits.of_last_words(found.words, script, own_kernel=self._machine.capabilities.own_kernel):
            told = self._error(LimitError, f"this machine cannot tell: {limit.what}", done.output, found)
            told.hint = limit.hint
            return told
        what = found.what or f"{self._names} {self._kind.failed} (status {done.status})"
        if script:
            what = prompts.explained(what, found, script, self._family.environment, self._ask)
        return self.blame(what, done.output, found)

    def _check_disk(self, output: str) -> None:
        disk.check(self._machine, output, f"{self._names} could not be {self._kind.past}")

    def _script_of(self, found: Reason) -> str:
        """Return the text of the maintainer script that failed, as far as the guest still has it."""
        argv: Sequence[str] = self._family.script(found, self._files.get(found.package, "")) if found.script else ()
        return self._ask(argv) if argv else ""

    def _ask(self, argv: Sequence[str], deadline: Deadline | None = None) -> str:
        """Return what a command of the guest prints; nothing if it fails."""
        try:
            done = self._machine.command(argv, deadline=deadline or self._deadline.sooner(_LOOK_SECONDS))
        except (DeadlineError, GuestSetupError):
            return ""
        return done.output if done.status == 0 else ""
