"""The families of distributions, by their package manager: one file or room each, imported on use.

All that is known of a package manager is here, as scripts and argument lists; nothing here runs anything.
"""

import importlib
import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from postroj.contract import Completed
from postroj.family.cache import Kept
from postroj.family.plan import Plan
from postroj.family.reason import UNKNOWN, Reason, complaints, cut
from postroj.family.repository import Addition, Repository, Syntax

Commands = Sequence[Sequence[str]]
"""Commands that are run one after the other, until one fails."""

NAMES = ("apt", "dnf", "microdnf", "yum", "zypper", "pacman", "apk")
OF_VMS = ("windows", "pkg")
"""Those of guests that no container can be, by the name of their system."""


class Family:
    """What is to be known of a package manager. A family sets and defines what it can do; the rest stays as it is here.

    Scripts are for `sh`, as root. The first ones are run in a tree without a boot, each by a shell of its own; they
    fail with its status, and can be run again.
    """

    name: ClassVar[str]
    tools: ClassVar[tuple[str, ...]]
    """Where its package manager may be in a tree."""
    systemd: ClassVar[str] = ""
    """The script that brings systemd, D-Bus and what a boot needs besides, where they lack; empty for no systemd."""
    clean: ClassVar[str] = ""
    """The script that removes what an image for containers brings that a system does not have, and brings what that
    image lacks to install packages. Runs before `systemd`."""
    architecture: ClassVar[str]
    """The script that prints the architecture, as packages of this family have it."""
    version: ClassVar[str]
    """The script that prints the package manager and its version."""

    format: ClassVar[str] = ""
    """The format of its packages: deb, rpm, arch; empty if postroj cannot install with it."""
    command: ClassVar[str] = ""
    """The package manager, as a message calls it: apt-get."""
    database: ClassVar[str] = ""
    """The program that knows what is installed, as a message calls it: dpkg."""
    word: ClassVar[re.Pattern[str]]
    """A package of the repositories, as a user may write it: a name, and what else the package manager lets follow."""
    asks_about_config: ClassVar[bool] = False
    """Whether an upgrade asks about a configuration file that was changed, if the new version has another one."""
    starts_services: ClassVar[bool] = False
    """Whether packages start their services as they are installed, by the policy of its distributions."""
    environment: ClassVar[Mapping[str, str]] = {}
    """Variables that its commands are run with."""
    verification: ClassVar[str] = ""
    """The script that tells what of packages is installed. Its arguments are pairs: a package as `query` returns it,
    and its file, empty for one from the repositories. It prints a line for each: the status (`installed`, or
    another word), the version, and the parts that are not those of the file. Status 3 and a name on standard output
    mean that a program is gone without which no verdict can be had."""

    downgrades: ClassVar[bool] = False
    """Whether `install` puts an older version in the place of a newer one."""
    purges: ClassVar[bool] = False
    """Whether `purge` removes more than `remove` does."""
    purges_removed: ClassVar[bool] = False
    """Whether `purge` also removes what an earlier `remove` has left."""
    new_config: ClassVar[Sequence[str]] = ()
    """Suffixes of the new version's configuration file, if the one that was there stays."""
    saved_config: ClassVar[Sequence[str]] = ()
    """Suffixes of the configuration file that was there, if it has been replaced or its package removed."""

    diversions: ClassVar[Sequence[str]] = ()
    """The command that lists the files for which packages have set another place, a line each; empty if none can."""
    overrides: ClassVar[Sequence[str]] = ()
    """The command that lists the files for which packages have set another mode or owner."""

    repository: ClassVar[Syntax] = Syntax()
    """How a user writes a repository that is to be added."""
    unknown_key: ClassVar[re.Pattern[str]] = re.compile(r"(?!)")
    """What it prints if a repository, or a package from one, is signed by a key that it does not know."""
    unsigned: ClassVar[re.Pattern[str]] = re.compile(r"(?!)")
    """What it prints if one is not signed that should be."""

    lists_files: ClassVar[bool] = True
    """Whether it tells the files of installed packages: `files`, `config_files`, `integrity`."""

    kept: ClassVar[Kept | None] = None
    """What it has downloaded, and where; None if postroj does not keep that for other machines."""

    logs: ClassVar[Sequence[str]] = ()
    """The files that it logs what it does to."""
    own_daemons: ClassVar[Collection[str]] = ()
    """Processes that the package manager itself leaves running, by name: no package has started them."""

    def facts(self) -> str:
        """Return the script that prints both, as `key=value`."""
        return f'echo "architecture=$({self.architecture})"\necho "package_manager=$({self.version})"\n'

    def ask_facts(self) -> list[str]:
        """Return the command that prints both in a guest."""
        return ["sh", "-c", self.facts()]

    def spec(self, word: str) -> str:
        """Return a package of the repositories as its package manager takes it; the user may write NAME=VERSION."""
        return word

    def resolve(self, words: Sequence[str], *, lists: bool) -> Commands:
        """Return the commands that find out what an installation does, without doing it.

        Without `lists`, they ask no repository: files may need nothing but what is there.
        """
        raise NotImplementedError

    def needs(self, words: Sequence[str]) -> Sequence[str]:
        """Return the command that prints what packages need, `NAME=VERSION`; `read_needs` reads it.

        Empty if the package manager itself finds the versions of dependencies that such a package needs.
        """
        del words
        return ()

    def read_needs(self, output: str) -> Sequence[str]:
        """Return the packages that are needed in one version only, as `NAME=VERSION`, from what `needs` has printed."""
        del output
        return ()

    def update(self) -> Sequence[str]:
        """Return the command that updates the package lists; it fails if one of them cannot be had."""
        raise NotImplementedError

    def fetch(self, words: Sequence[str], *, again: Collection[str] = ()) -> Commands:
        """Return the commands that download all that an installation takes, and install nothing."""
        raise NotImplementedError

    def install(self, words: Sequence[str], *, again: Collection[str] = (), lists: bool = True) -> Commands:
        """Return the commands that install what has been fetched; those of `again` are there, in the same version.

        Without `lists`, nothing has been fetched: there are files only, which need nothing but what is there.
        """
        raise NotImplementedError

    def remove(self, names: Sequence[str]) -> Commands:
        """Return the commands that remove installed packages, and those that need them; no repository is asked.

        What was installed only because of them stays. Names are as `query` returns them.
        """
        raise NotImplementedError

    def purge(self, names: Sequence[str]) -> Commands:
        """Return the commands that remove packages with their configuration; without `purges` they only remove them."""
        return self.remove(names)

    def resolved(self, done: Completed) -> bool:
        """Return whether the commands of `resolve` have found a way to install."""
        return self.succeeded(done)

    def succeeded(self, done: Completed) -> bool:
        """Return whether another command has done what it was for."""
        return done.status == 0

    def is_unchanged(self, output: str) -> bool:
        """Return whether a command of `install` that failed has not begun to change anything."""
        del output
        return False

    def distrusted(self, output: str) -> str:
        """Return why a repository, or a package from one, is not trusted, as a clause; empty if that is not said."""
        lines = cut(output)
        if any(map(self.unknown_key.search, lines)):
            return "is signed by a key that the guest does not know"
        return "is not signed" if any(map(self.unsigned.search, lines)) else ""

    def add_repositories(self, repositories: Sequence[Repository], keys: Sequence[str]) -> Addition:
        """Return what adds repositories to those that are there; `keys` are the paths of their keys in the guest."""
        raise NotImplementedError

    def is_outdated(self, output: str) -> bool:
        """Return whether an update that has succeeded has gone on without a list."""
        del output
        return False

    def plan(self, output: str) -> Plan:
        """Return what the commands of `resolve` say that an installation does."""
        raise NotImplementedError

    def removed(self, output: str) -> Sequence[str]:
        """Return the names of the packages that the commands of `remove` and `purge` say that they remove."""
        return self.plan(output).removed

    def reason(self, output: str, status: int = 0) -> Reason:
        """Return why a command has failed that ended with `status`, from what it has printed."""
        raise NotImplementedError

    def broken(self, output: str) -> Reason:
        """Return the maintainer script that has failed in a command that has succeeded all the same."""
        del output
        return UNKNOWN

    def complaints(self, output: str, names: Collection[str]) -> list[str]:
        """Return the lines of an installation that has succeeded which say that a command of a script has failed.

        `names` are the packages; if it cannot be told whose script has printed a line, those of all scripts count.
        """
        del names
        return complaints(cut(output), of_shell=True)

    def of_machine(self, output: str) -> str:
        """Return why a command has failed, if that is the machine's fault, and not the package's; empty otherwise."""
        del output
        return ""

    def notes(self, output: str) -> list[str]:
        """Return what an installation that has succeeded says besides, such as that a reboot is needed."""
        del output
        return []

    def verify(self, pairs: Sequence[str]) -> list[str]:
        """Return the command of `verification`."""
        return ["sh", "-c", self.verification, "sh", *pairs]

    def running(self, output: str, processes: Collection[str] = ()) -> str:
        """Return the maintainer script that was begun last, `the postinst of webfs`; empty if none was.

        `processes` are the names of those that run, as ps(1) shows them: they may tell two scripts apart.
        """
        raise NotImplementedError

    def script(self, failed: Reason, file: str = "") -> list[str]:
        """Return the command that prints the maintainer script that has failed; empty if it cannot be had.

        `file` is where the guest has the package's file; empty if it comes from the repositories.
        """
        del failed, file
        return []

    def query(self, name: str, architecture: str) -> str:
        """Return what its database calls a package that comes from a file."""
        raise NotImplementedError

    def is_version(self, wanted: str, installed: str) -> bool:
        """Return whether an installed version, as `verification` tells it, is the one that was asked for."""
        return installed == wanted

    def files(self, names: Sequence[str]) -> list[str]:
        """Return the command that lists the files of installed packages, one in a line."""
        raise NotImplementedError

    def contents(self, file: str) -> list[str]:
        """Return the command that lists what is in the file of a package, as `tar tv` does; empty if there is no need.

        It is needed if the package manager keeps a directory for which a package has a link, and does not say so.
        """
        return []

    def config_files(self, names: Sequence[str]) -> list[str]:
        """Return the command that lists the configuration files of installed packages; `read_config_files` reads it."""
        raise NotImplementedError

    def read_config_files(self, output: str) -> list[str]:
        """Return the absolute paths of the configuration files that `config_files` has printed."""
        raise NotImplementedError

    def integrity(self, names: Sequence[str]) -> list[str]:
        """Return the command that tells which files of installed packages are not as their packages have them."""
        raise NotImplementedError

    def read_changed_config(self, output: str) -> list[str]:
        """Return the absolute paths of the configuration files that `integrity` has printed."""
        raise NotImplementedError

    def sources(self, names: Sequence[str]) -> list[str]:
        """Return the command that prints what packages of the repositories were built from.

        It prints a line `Package: NAME` for each, and a line `Source: NAME` after it if that has another name. Empty if
        that is not known.
        """
        del names
        return []

    def versions(self, name: str) -> list[str]:
        """Return the command that prints a line for each version of a package: a word, and the version.

        The word is dpkg's status; any other one is that of an installed package. The command fails if there is none.
        Empty if postroj does not know how to ask.
        """
        del name
        return []


def load(name: str) -> Family:
    """Return the family of this name."""
    family: Family = importlib.import_module(f"postroj.family.{name}").FAMILY
    return family


def names_of_format(name: str) -> list[str]:
    """Return the names of the families that install packages of a format."""
    return [one for one in NAMES if load(one).format == name]


def detect(root: str) -> str | None:
    """Return the name of a tree's family, by the package manager that it has; None if it has none."""
    for name in NAMES:
        if any(os.path.lexists(os.path.join(root, tool)) for tool in load(name).tools):
            return name
    return None
