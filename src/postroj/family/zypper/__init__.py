"""openSUSE, SUSE Linux Enterprise."""

import re
from collections.abc import Collection, Sequence

from postroj.contract import Completed
from postroj.family import Commands, rpm, solver
from postroj.family.bootable import installing
from postroj.family.plan import Plan, Step
from postroj.family.reason import LONGEST, UNKNOWN, Reason, cut
from postroj.family.repository import Addition, Repository, ini
from postroj.family.zypper import cache

# No refresh on its own, which fails for each repository that cannot be reached, needed or not. zypper(8), exit codes:
# 100 to 103 tell of updates and of a restart that is due, 106 of repositories left out; what is not found is 104.
_SYSTEMD = """
zypper --non-interactive install --no-recommends "$@" || case $? in
10[0-3] | 106) ;;
*) exit 1 ;;
esac
"""

# Keys that the image brings are trusted, as its installer would do it, so that none has to be taken from a repository
# (--gpg-auto-import-keys), many of which are read over plain HTTP.
_CLEAN = r"""
for key in /usr/lib/rpm/gnupg/keys/*.asc; do
    [ ! -e "$key" ] || rpm --import "$key" || :
done
# As with the other families: what an image leaves away, a package under test would lack.
[ ! -f /etc/zypp/zypp.conf ] ||
    sed -i 's/^rpm.install.excludedocs *=.*/rpm.install.excludedocs = no/' /etc/zypp/zypp.conf
"""


_ZYPPER = ("zypper", "--non-interactive")
# What is under test is installed, whatever version of it the image has; a local file need not be signed. Images for
# containers are set to leave recommended packages away, which users get.
_OPTIONS = ("--force", "--oldpackage", "--allow-unsigned-rpm", "--auto-agree-with-licenses", "--recommends")
# zypper(8), exit codes: updates, or a restart, that are due, and repositories left out because their lists are not
# there, although there was no need of them. 107 is that a scriptlet has failed after %pre.
_SUCCEEDED = (0, 100, 101, 102, 103, 106)
_SCRIPTLET_FAILED = 107

_SECTION = re.compile(
    r"The following .*(?:is|are) going to be (?P<verb>installed|upgraded|downgraded|reinstalled|REMOVED)\b.*:$"
)
_LOCAL = re.compile(r"Forcing installation of '(?P<name>\S+)-[^\s-]+-[^\s-]+' from repository 'Plain RPM files cache'")
_CONFLICT = re.compile(
    r"^File (?P<path>/.+)\n\s+from install of\n\s+(?P<package>\S+)-[^\s-]+-[^\s-]+ .*\n"
    r"\s+conflicts with file from (?:package|install of)\n\s+(?P<other>\S+)-[^\s-]+-[^\s-]+",
    re.MULTILINE,
)
# libzypp runs them itself, and indents what they print.
_POSTTRANS = re.compile(
    r"Warning: (?P<package>\S+)-[^\s-]+-[^\s-]+\.rpm %posttrans script failed \(returned (?P<how>\d+)\)"
)
_POSTTRANS_BEGINS = re.compile(r"Output of \S+ %posttrans script:")
_NO_PROVIDER = re.compile(r"No provider of '(?P<what>.+)' found")
_BEGUN = re.compile(r"^\( *\d+/\d+\) ", re.MULTILINE)
"""What is printed as a package is installed or removed."""
_PROBLEM = re.compile(r"(?:\d+ )?Problem(?: \d+)?: (?P<what>.+)")


class _Zypper(rpm.RpmFamily):
    name = "zypper"
    tools = ("usr/bin/zypper",)
    systemd = installing(_SYSTEMD, systemd="systemd", bus="dbus-1", users="shadow")
    clean = _CLEAN
    version = "zypper --version"

    command = "zypper"
    logs = ("/var/log/zypper.log", "/var/log/zypp/history")
    downgrades = True
    unknown_key = re.compile(r"signed with an? unknown key|[Nn]ew repository or package signing key received")
    unsigned = re.compile(r"is unsigned|is not signed")
    kept = cache.kept([*_ZYPPER, "refresh"])

    def resolve(self, words: Sequence[str], *, lists: bool) -> Commands:
        """Return a simulation by the lists that are there; or by none, and what tells of recommended packages."""
        simulated = [*_ZYPPER, *_where(lists), "install", *_OPTIONS, "--dry-run", *words]
        return [simulated] if lists else [simulated, rpm.recommends(words)]

    def update(self) -> Sequence[str]:
        """Return the command that fails if a repository cannot be reached."""
        return [*_ZYPPER, "refresh"]

    def fetch(self, words: Sequence[str], *, again: Collection[str] = ()) -> Commands:
        """Return the command that downloads."""
        del again
        return [[*_ZYPPER, "--no-refresh", "install", *_OPTIONS, "--download-only", *words]]

    def install(self, words: Sequence[str], *, again: Collection[str] = (), lists: bool = True) -> Commands:
        """Return the command that installs; --force is for what is there."""
        del again
        return [[*_ZYPPER, *_where(lists), "install", *_OPTIONS, *words]]

    def is_unchanged(self, output: str) -> bool:
        """Return whether no package was about to be changed."""
        return not _BEGUN.search(output)

    def remove(self, names: Sequence[str]) -> Commands:
        """Return the command; whether what nothing needs any more goes as well is a setting of zypp.conf."""
        return [[*_ZYPPER, *_where(lists=False), "remove", "--no-clean-deps", *names]]

    def add_repositories(self, repositories: Sequence[Repository], keys: Sequence[str]) -> Addition:
        """Return a .repo file, and the command that has rpm know the keys, of which zypper would ask."""
        commands = [["rpm", "--import", *keys]] if keys else []
        return Addition({"/etc/zypp/repos.d/postroj.repo": ini(repositories, keys)}, commands)

    def succeeded(self, done: Completed) -> bool:
        """Return whether the packages have been installed, or removed."""
        return done.status in _SUCCEEDED

    def plan(self, output: str) -> Plan:
        """Return the plan of a simulation: names without versions."""
        lines = cut(output)
        local = [found["name"] for found in map(_LOCAL.match, lines) if found]
        installed, removed = [], []
        verb = ""
        for line in lines:
            if section := _SECTION.match(line):
                verb = section["verb"]
            elif not line.startswith("  "):
                verb = verb if line.strip() == "" and verb else ""
            elif verb == "REMOVED":
                removed += line.split()
            elif verb:
                installed += [Step(name, "", "", name in local) for name in line.split()]
        return Plan(tuple(installed), tuple(removed), rpm.recommended(lines))

    def reason(self, output: str, status: int = 0) -> Reason:
        """Return the reason: a scriptlet, files of another package, or a requirement."""
        lines = cut(output)
        if status == _SCRIPTLET_FAILED:
            return rpm.scriptlet(lines) or Reason("a scriptlet failed, and printed too much to tell which one")
        found = rpm.scriptlet(lines) or rpm.transaction(lines) or _conflict(lines) or solver.unmet(lines)
        return found or _of_zypper(lines)

    def broken(self, output: str) -> Reason:
        """Return the scriptlet that has failed: the exit status tells only of some.

        It tells of none that has left its last line open, and of no %posttrans.
        """
        lines = cut(output)
        return rpm.scriptlet(lines) or _posttrans(lines) or UNKNOWN

    def running(self, output: str, processes: Collection[str] = ()) -> str:
        """Return nothing: zypper shows what rpm prints when it has ended."""
        del output, processes
        return ""


def _where(lists: bool) -> Sequence[str]:
    """Return the options for where packages come from: by itself, --no-refresh downloads a list that is not there."""
    return ["--no-refresh"] if lists else ["--no-refresh", "--no-remote"]


def _conflict(lines: Sequence[str]) -> Reason | None:
    text = "\n".join(lines)
    if not (found := _CONFLICT.search(text)):
        return None
    what = f"{found['path']} of {found['package']} is also in the package {found['other']}"
    return Reason(what[:LONGEST], line=text.count("\n", 0, found.end()))


def _posttrans(lines: Sequence[str]) -> Reason | None:
    for number, line in enumerate(lines):
        if found := _POSTTRANS.match(line):
            begins = [place for place in range(number) if _POSTTRANS_BEGINS.match(lines[place])]
            said = lines[begins[-1] + 1 : number] if begins else []
            words = [word.strip() for word in said if word.startswith("    ") and word.strip()]
            return rpm.failure("%posttrans", found["package"], f"exit status {found['how']}", words, number)
    return None


def _of_zypper(lines: Sequence[str]) -> Reason:
    for number, line in enumerate(lines):
        if found := _NO_PROVIDER.match(line):
            return Reason(f"there is no package {found['what']} in the repositories"[:LONGEST], line=number)
        if found := _PROBLEM.match(line):
            return Reason(found["what"][:LONGEST], line=number)
    return UNKNOWN


FAMILY = _Zypper()
