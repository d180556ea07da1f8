"""Installing packages in a guest, in steps that tell whose fault a failure is."""

import os
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

from postroj.contract import Completed, Machine
from postroj.deadline import Deadline
from postroj.errors import HostError, NotInstalledError, PostrojError
from postroj.events import Step, Warn, emit
from postroj.family import Commands, Family
from postroj.family.plan import Plan
from postroj.lastwords import end_of
from postroj.package import verify
from postroj.package.reference import Package, called
from postroj.package.transaction import INSTALLATION, Transaction

_DEEPEST = 5
"""How many dependencies of dependencies are asked for, to find the one that is not met."""

_MOST_NEEDED = 100
"""So many packages are added, in the version that is needed, to those that were asked for."""


class Answer(Protocol):
    """What is known of packages, in an image to which nothing was added."""

    @property
    def resolved(self) -> str:
        """What the commands of Family.resolve have printed."""

    @property
    def sources(self) -> str:
        """What the command of Family.sources has printed of all packages that it installs."""


class Installed(NamedTuple):
    """What an installation has done."""

    commands: Sequence[str] = ()
    """The commands that changed the guest, as they could be typed."""
    plan: Plan = Plan()
    asked: Sequence[str] = ()
    """The names of the packages that were asked for."""
    left: str = ""
    """Processes that it has left outside any unit, as a list in a sentence; empty for none."""
    has_lists: bool = False
    """Whether the guest has package lists that are up to date."""
    output: str = ""
    """What the package manager has printed as it installed."""
    siblings: Sequence[str] = ()
    """New packages that came along, and were built from the same source as one that was asked for by its name."""

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
    has_lists: bool = False,
    answer: Answer | None = None,
    ready: Callable[[], None] | None = None,
) -> Installed:
    """Install packages, and see that they are what is installed then.

    Files are tried without the repositories first, to save the time that their lists take; if `offline`, without them
    only. Raises InstallError if it is the package's fault, LimitError if this machine lacks what it needs, HostError if
    the repositories cannot be reached, or may not be, or the guest's disk is full. `first` is the number of the first
    package: Package.guest_name. With `has_lists` the package lists are up to date; `answer` is what the package manager
    says of the packages then, if that is known, and all is downloaded. With `ready` what the packages need
    is installed before them, and then it is called.
    """
    return _Installation(machine, family, packages, deadline, offline, first, has_lists, answer).run(ready)


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
        has_lists: bool,
        answer: Answer | None,
    ) -> None:
        self._machine = machine
        self._family = family
        self._packages = packages
        self._words = [
            package.guest_name(number) if package.file else family.spec(package.reference)
            for number, package in enumerate(packages, first)
        ]
        self._needed: Sequence[str] = ()
        """Packages that the others need in one version, `NAME=VERSION`, and the package manager does not find."""
        self._again: Collection[str] = ()
        self._lists = False
        self._names = called(packages, lambda one: os.path.basename(one.file) or one.reference)
        self._deadline = deadline
        self._offline = offline
        self._has_lists = has_lists
        self._answer = answer if has_lists else None
        files = {one.name: word for word, one in zip(self._words, packages, strict=True) if one.file}
        self._transaction = Transaction(machine, family, INSTALLATION, self._names, deadline=deadline, files=files)

    def run(self, ready: Callable[[], None] | None) -> Installed:
        """Do all of it."""
        steps = self._resolve()
        siblings = self._siblings(steps)
        if ready:
            self._install_needed(steps, siblings)
            ready()
        emit(Step(self._machine.name, f"installing {self._names}"))
        try:
            output = self._change()
        except PostrojError as error:
            if not self._answer or len(self._transaction.commands) > 1 or not self._family.is_unchanged(error.why):
                raise
            self._answer = None  # which was wrong
            steps = self._resolve()
            output = self._change()
        verify.check(self._machine, self._family, self._packages, self._words, steps, deadline=self._deadline)
        asked = [package.name for package in self._packages]
        left = self._transaction.left
        return Installed(self._transaction.commands, steps, asked, left, self._has_lists, output, siblings)

    def _change(self) -> str:
        words = [*self._words, *self._needed]
        commands = self._family.install(words, again=self._again, lists=self._lists)
        return self._transaction.change(commands, has_repositories=self._lists)

    def _siblings(self, steps: Plan) -> list[str]:
        """Return the new packages that are of the same sources as one that was asked for by its name."""
        named = [package.name for package in self._packages if not package.file]
        asked = [package.name for package in self._packages]
        new = [one.name for one in steps.installed if one.name not in asked and not one.old]
        command = self._family.sources([*named, *new]) if named and new else []
        if not command:
            return []
        sources: dict[str, str] = {}
        name = ""
        known = self._answer.sources if self._answer else ""
        for line in (known or self._machine.command(command, deadline=self._deadline).output).splitlines():
            field, _, value = line.partition(": ")
            name = value if field == "Package" else name
            sources[name] = value.partition(" ")[0]
        own = {sources[one] for one in named if one in sources}
        return [one for one in new if sources.get(one) in own]

    def _install_needed(self, steps: Plan, siblings: Sequence[str]) -> None:
        """Install what is installed besides; if that fails, the packages are installed together with it, and tell."""
        together = [*(package.name for package in self._packages), *siblings, *map(_name, self._needed)]
        needed = [
            self._family.spec(one.name) for one in steps.installed if one.name not in together and not one.is_local
        ]
        if needed:
            transaction = Transaction(
                self._machine, self._family, INSTALLATION, ", ".join(needed), deadline=self._deadline
            )
            with suppress(NotInstalledError):
                transaction.change(self._family.install(needed, lists=self._lists))

    def _resolve(self) -> Plan:
        """Find out what is to be installed, and download it."""
        if self._answer:
            self._lists = True
            steps = self._family.plan(self._answer.resolved)
            self._again = self._unchanged(steps)
            return steps
        are_files = all(package.file for package in self._packages)
        if are_files or not self._has_lists:
            resolved = self._transaction.ask(self._family.resolve(self._words, lists=False))
            steps = self._family.plan(resolved.output)
            if self._family.resolved(resolved) and not steps.needs_lists and are_files:
                self._again = self._unchanged(steps)
                return steps
            if self._offline:
                return self._without_lists(resolved, steps)
        self._lists = True
        # If it is in vain, they may have grown old.
        if self._has_lists and (found := self._try()):
            return found
        unreachable = "the guest cannot reach its package repositories"
        updated = self._must([self._family.update()], "updating package lists", unreachable)
        if self._family.is_outdated(updated.output):
            raise HostError(unreachable, why=end_of(updated.output))
        self._has_lists = True
        resolved = self._transaction.ask(self._family.resolve(self._words, lists=True))
        if not self._family.resolved(resolved):
            resolved = self._with_needed() or resolved
        if not self._family.resolved(resolved):
            raise self._unmet(resolved)
        steps = self._family.plan(resolved.output)
        self._again = self._unchanged(steps)
        what = "the guest cannot download the required packages"
        fetched = self._family.fetch([*self._words, *self._needed], again=self._again)
        self._must(fetched, f"downloading {self._names}", what)
        return steps

    def _try(self) -> Plan | None:
        """Do it with the lists that are there, and return the plan; None if that cannot be done."""
        resolved = self._transaction.ask(self._family.resolve(self._words, lists=True))
        if not self._family.resolved(resolved):
            return None
        steps = self._family.plan(resolved.output)
        self._again = self._unchanged(steps)
        emit(Step(self._machine.name, f"downloading {self._names}"))
        fetch = self._family.fetch(self._words, again=self._again)
        if not self._family.succeeded(self._transaction.ask(fetch, f"downloading {self._names}")):
            return None
        self._transaction.note(fetch)
        return steps

    def _with_needed(self) -> Completed | None:
        """Resolve them with what they need in one version, and what that needs; return nothing if it does not help."""
        found: dict[str, str] = {}
        asked: Sequence[str] = self._words
        while asked and len(found) < _MOST_NEEDED and (command := self._family.needs(asked)):
            told = self._family.read_needs(self._transaction.ask([command]).output)
            names = {package.name for package in self._packages}
            asked = [word for word in told if _name(word) not in (*found, *names)][:_MOST_NEEDED]
            found |= {_name(word): word for word in asked}
        resolved = self._transaction.ask(self._family.resolve([*self._words, *found.values()], lists=True))
        # Those that are there would be installed again.
        changed = [one.name for one in self._family.plan(resolved.output).installed if one.old != one.version]
        self._needed = [word for name, word in found.items() if name in changed]
        if not self._needed or not self._family.resolved(resolved):
            self._needed = ()
            return None
        return self._transaction.ask(self._family.resolve([*self._words, *self._needed], lists=True))

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

    def _unmet(self, resolved: Completed) -> NotInstalledError:
        """Return why it is refused; a package of which no more than that is said is asked for as well."""
        asked = list(self._words)
        found = self._family.reason(resolved.output)
        while found.missing and found.missing not in asked and len(asked) < len(self._words) + _DEEPEST:
            asked.append(found.missing)
            again = self._transaction.ask(self._family.resolve(asked, lists=True))
            inner = self._family.reason(again.output)
            if self._family.resolved(again) or not inner.what:
                break
            resolved, found = again, inner
        what = found.what or f"{self._names} cannot be installed"
        return self._transaction.blame(what, resolved.output, found)

    def _must(self, commands: Commands, doing: str, what: str) -> Completed:
        emit(Step(self._machine.name, doing))
        self._transaction.note(commands)
        done = self._transaction.ask(commands, doing)
        if not self._family.succeeded(done):
            self._transaction.check_trust(done.output)
            raise HostError(what, why=end_of(done.output), hint="check the host's network with `postroj doctor`")
        return done


def _name(word: str) -> str:
    """Return the name of a package in `NAME=VERSION`."""
    return word.partition("=")[0]
