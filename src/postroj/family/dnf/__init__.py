"""Fedora, RHEL and what is built from it, Amazon Linux 2023."""

from collections.abc import Collection, Sequence
from typing import ClassVar

from postroj.contract import Completed
from postroj.family import Commands, rpm
from postroj.family.bootable import installing
from postroj.family.dnf import cache
from postroj.family.dnf import output as printed
from postroj.family.plan import Plan
from postroj.family.reason import UNKNOWN, Reason, cut
from postroj.family.repository import Addition, Repository, ini

# CentOS 7, 8 and Stream 8 have left their mirrors for the vault, and their mirror lists are gone.
_VAULT = r"""
if grep -qs 'release [78]\b' /etc/centos-release; then
    sed -i -e 's|^mirrorlist=|#mirrorlist=|' \
        -e 's|^#* *baseurl=http://mirror.centos.org|baseurl=https://vault.centos.org|' /etc/yum.repos.d/CentOS-*.repo
fi
"""

# Images for containers leave documentation away, and translations but for English: under test, what a package lacks
# would be somebody else's fault. Through the link that yum.conf is on systems with dnf.
CLEAN = rf"""
set -e
for file in /etc/dnf/dnf.conf /etc/yum.conf; do
    [ ! -f "$file" ] || sed -i --follow-symlinks '/^tsflags *=.*nodocs/d' "$file"
done
rm -f /etc/rpm/macros.image-language-conf
{_VAULT}
"""

# Images of Fedora 42 and newer have systemd-standalone-sysusers, which conflicts with systemd: --allowerasing. Without
# weak dependencies, which bring half a desktop. Not each has it under its shortest name. dnf 5 takes most options only
# behind the command.
_SYSTEMD = """
dnf=$(command -v dnf || command -v dnf5 || command -v dnf-3)
"$dnf" install --assumeyes --setopt=install_weak_deps=False --allowerasing "$@"
"""


_BEST = "--setopt=best=True"
"""As RHEL has it: Fedora's dnf leaves a package that is there in an older version as it is, if it is asked by name."""


class Dnf(rpm.RpmFamily):
    """dnf 4 and 5."""

    name = "dnf"
    tools: ClassVar[tuple[str, ...]] = ("usr/bin/dnf", "usr/bin/dnf5", "usr/bin/dnf-3")
    systemd = installing(_SYSTEMD, systemd="systemd")
    clean = CLEAN
    # `4.14.0` in the first line of dnf's, `dnf5 version 5.2.10.0` in that of dnf5's
    version = (
        "dnf=$(command -v dnf || command -v dnf5 || command -v dnf-3)\n"
        "\"$dnf\" --version 2>/dev/null | sed -n '1s/^\\(dnf5 version \\)\\{0,1\\}\\([0-9][^ ]*\\).*/dnf \\2/p'"
    )

    command = "dnf"
    logs = ("/var/log/dnf.log", "/var/log/dnf.rpm.log", "/var/log/dnf5.log", "/var/log/yum.log")
    unknown_key = printed.UNKNOWN_KEY
    unsigned = printed.UNSIGNED
    refresh: ClassVar[Sequence[str]] = ("makecache", "--refresh")
    has_weak_dependencies: ClassVar[bool] = True
    downgrades = True
    kept = cache.kept([command, *refresh, "--assumeyes"])

    def spec(self, word: str) -> str:
        """Return NAME-VERSION for NAME=VERSION: dnf(8), Specifying Packages."""
        return word.replace("=", "-", 1)

    def resolve(self, words: Sequence[str], *, lists: bool) -> Commands:
        """Return the command that stops where it would ask, and one that tells of recommended packages."""
        asks = [self.command, "install", "--assumeno", _where(lists), _BEST, *words]
        return [asks] if lists or not self.has_weak_dependencies else [asks, rpm.recommends(words)]

    def resolved(self, done: Completed) -> bool:
        """Return whether it has come to the question: its status is 1 then as well."""
        return done.status == 0 or printed.has_asked(done.output)

    def update(self) -> Sequence[str]:
        """Return the command that fails if a repository cannot be reached, unless that may be skipped."""
        return [self.command, *self.refresh, "--assumeyes"]

    def fetch(self, words: Sequence[str], *, again: Collection[str] = ()) -> Commands:
        """Return the commands that fill the cache."""
        return self._installing(words, again, "--downloadonly")

    def install(self, words: Sequence[str], *, again: Collection[str] = (), lists: bool = True) -> Commands:
        """Return the commands that take what is in the cache. A local file need not be signed (localpkg_gpgcheck)."""
        return self._installing(words, again, _where(lists))

    def is_unchanged(self, output: str) -> bool:
        """Return whether rpm's transaction was not begun."""
        return not printed.has_begun(output)

    def remove(self, names: Sequence[str]) -> Commands:
        """Return the command; dnf removes what nothing needs any more as well, unless it is told not to."""
        kept = "--setopt=clean_requirements_on_remove=False"
        return [[self.command, "remove", "--assumeyes", _where(lists=False), kept, *names]]

    def add_repositories(self, repositories: Sequence[Repository], keys: Sequence[str]) -> Addition:
        """Return a .repo file; --assumeyes takes its keys."""
        return Addition({"/etc/yum.repos.d/postroj.repo": ini(repositories, keys)})

    def plan(self, output: str) -> Plan:
        """Return the table of the transaction."""
        return printed.plan(output)

    def reason(self, output: str, status: int = 0) -> Reason:
        """Return the reason: a scriptlet, rpm, or a dependency."""
        return printed.reason(output, status)

    def broken(self, output: str) -> Reason:
        """Return the scriptlet that has failed: after %pre, rpm only warns."""
        return printed.broken(cut(output)) or UNKNOWN

    def running(self, output: str, processes: Collection[str] = ()) -> str:
        """Return the package whose scriptlet was begun last; dnf 5 tells that only when a scriptlet has ended."""
        del processes
        return rpm.running(output) or printed.running(cut(output))

    def _installing(self, words: Sequence[str], again: Collection[str], option: str) -> Commands:
        """`install` leaves what is there in the same version, and `reinstall` takes nothing else."""
        new = [word for word in words if word not in again]
        old = [word for word in words if word in again]
        verbs = (("install", new), ("reinstall", old))
        return [[self.command, verb, "--assumeyes", option, _BEST, *some] for verb, some in verbs if some]


def _where(lists: bool) -> str:
    """Return the option for where packages come from: --cacheonly fails if the list of any repository is not there."""
    return "--cacheonly" if lists else "--disablerepo=*"


FAMILY = Dnf()
