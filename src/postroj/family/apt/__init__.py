"""Debian, Ubuntu."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from postroj.family import Commands, Family
from postroj.family.apt import cache, needs, plan, reason
from postroj.family.apt.verification import SCRIPT
from postroj.family.bootable import installing
from postroj.family.plan import Plan
from postroj.family.reason import Reason, complaints
from postroj.family.repository import Addition, Repository, Syntax

NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.](:[a-z0-9-]+)?(=[A-Za-z0-9.+:~-]+|/[a-z0-9-]+)?(?<!-)")
"""A package name (Debian policy 5.6.1), and what apt-get(8) lets follow it: architecture, version or suite.

None may end in a hyphen: apt-get takes that for the wish to remove the package.
"""

_SUITE = r"[A-Za-z0-9][A-Za-z0-9._+~:/-]*(?<!/)"
_COMPONENT = r"[A-Za-z0-9][A-Za-z0-9._+/-]*"
_FLAT = r"[A-Za-z0-9._+~/-]*/"
"""The place of a repository without suites, by the slash that ends it: sources.list(5)."""

_INCOMPLETE = "Some index files failed to download"
"""What `update` says when it went on without a list, as apt before 2.3 does."""

_OPTIONS = (
    "--yes",
    # What is under test is installed, whatever version of it the image has.
    "--reinstall",
    "--allow-downgrades",
    "--option=Dpkg::Use-Pty=0",
    "--option=DPkg::Lock::Timeout=60",
    "--option=Dpkg::Options::=--force-confdef",
    "--option=Dpkg::Options::=--force-confold",
)

_REMOVING = (
    "--yes",
    # If the image asks for it, packages that nothing needs any more would go as well.
    "--option=APT::Get::AutomaticRemove=false",
    "--option=Dpkg::Use-Pty=0",
    "--option=DPkg::Lock::Timeout=60",
)

_CALLED = re.compile(
    "^(?:Preconfiguring packages|Selecting |\\(Reading database|Preparing |Unpacking |Setting up |dpkg)", re.M
)
"""What is printed when packages are about to be changed."""

_CHANGED = re.compile(r"\?\?5\?{6} +c (?P<path>/.+)")
"""What `dpkg --verify` prints of a conffile that is not as its package has it: dpkg(1)."""
_CONFFILE = re.compile(r" (?P<path>/.+) (?:[0-9a-f]{32}|newconffile)(?: obsolete)?(?: remove-on-upgrade)?")
"""A line of the field Conffiles: deb-conffiles(5); the path may have spaces."""

# Without delay: apt 2.6 waits for ever to try again to unpack a list, for which the disk was full.
_RETRY = ("--option=Acquire::Retries=2", "--option=Acquire::Retries::Delay=false")

# Release files of end-of-life suites are past Valid-Until; their images already name the archive mirror.
_SYSTEMD = r"""
export DEBIAN_FRONTEND=noninteractive
# Of Debian 8 and 9 systemd is too old to be of use, and the keys of their archive have expired.
if grep -qs '^ID=debian' /etc/os-release && grep -Eqs '^VERSION_ID="?[89]"?$' /etc/os-release; then
    exit 0
fi
if grep -qs '^ID=debian' /etc/os-release && grep -Eqs '^VERSION_ID="?10"?$' /etc/os-release; then
    echo 'Acquire::Check-Valid-Until "false";' >/etc/apt/apt.conf.d/80-end-of-life
fi
apt-get update
apt-get install --yes --no-install-recommends "$@"
"""


_UPDATE = ["apt-get", "update", "--option=APT::Update::Error-Mode=any", *_RETRY]


class _Apt(Family):
    name = "apt"
    tools = ("usr/bin/apt-get",)
    # mount is in no dependency of systemd's since Debian 14, and systemd cannot boot without it
    systemd = installing(_SYSTEMD, systemd="systemd systemd-sysv", mount="mount", kill="procps", users="passwd adduser")
    # A Docker image brings policy-rc.d, which forbids services to start, and settings that keep documentation and
    # package lists away: under test, they would be somebody else's fault.
    clean = (
        "rm -f /usr/sbin/policy-rc.d /etc/apt/apt.conf.d/docker-*"
        " /etc/dpkg/dpkg.cfg.d/docker* /etc/dpkg/dpkg.cfg.d/excludes\n"
    )
    architecture = "dpkg --print-architecture"
    version = "apt-get --version | sed -n '1s/^\\(apt [^ ]*\\).*/\\1/p'"

    format = "deb"
    command = "apt-get"
    database = "dpkg"
    word = NAME
    repository = Syntax("URL SUITE COMPONENT...", re.compile(rf"{_FLAT}|{_SUITE}( {_COMPONENT})+"))
    unknown_key = re.compile(r"NO_PUBKEY |Missing key |couldn't be verified because the public key|EXPKEYSIG |BADSIG ")
    unsigned = re.compile(r"The repository '.*' is not signed\.")
    starts_services = True  # Debian policy 9.3
    asks_about_config = True
    downgrades = True
    purges = True
    purges_removed = True
    # dpkg(1), --force-confold and --force-confnew; dpkg-maintscript-helper(1); ucf(1)
    new_config = (".dpkg-dist", ".dpkg-new", ".ucf-dist", ".ucf-new")
    saved_config = (".dpkg-old", ".dpkg-bak", ".ucf-old")
    diversions = ("dpkg-divert", "--list")
    overrides = ("dpkg-statoverride", "--list")
    logs = ("/var/log/apt/history.log", "/var/log/apt/term.log", "/var/log/dpkg.log")
    environment: ClassVar[Mapping[str, str]] = {"DEBIAN_FRONTEND": "noninteractive"}
    verification = SCRIPT
    kept = cache.kept(_UPDATE)

    def resolve(self, words: Sequence[str], *, lists: bool) -> Commands:
        """Return a simulation; it reads the lists that are there, and asks no repository in either case."""
        del lists
        return [["apt-get", "install", *_OPTIONS, "--simulate", "--quiet=1", "--", *words]]

    def needs(self, words: Sequence[str]) -> Sequence[str]:
        """Return the command for those with a version: of what they need apt-get looks at the newest version only."""
        named = [word for word in words if "=" in word]
        return ["apt-cache", "show", "--", *named] if named else ()

    def read_needs(self, output: str) -> Sequence[str]:
        """Return what the fields Depends and Pre-Depends name with (= VERSION), and without an alternative."""
        return needs.read(output)

    def update(self) -> Sequence[str]:
        """Return the command that fails if one of the lists does (apt 2.3 and newer)."""
        return _UPDATE

    def add_repositories(self, repositories: Sequence[Repository], keys: Sequence[str]) -> Addition:
        """Return a file of sources.list(5), in the style of deb822(5)."""
        stanzas = []
        for one in repositories:
            suite, *components = one.words
            stanza = f"Types: deb\nURIs: {one.url}\nSuites: {suite}\n"
            stanza += f"Components: {' '.join(components)}\n" if components else ""
            stanzas.append(stanza + (f"Signed-By: {', '.join(keys)}\n" if one.is_signed else "Trusted: yes\n"))
        return Addition({"/etc/apt/sources.list.d/postroj.sources": "\n".join(stanzas)})

    def is_outdated(self, output: str) -> bool:
        """Return whether apt before 2.3 has gone on without a list."""
        return _INCOMPLETE in output

    def is_unchanged(self, output: str) -> bool:
        """Return whether dpkg was not called."""
        return not _CALLED.search(output)

    def fetch(self, words: Sequence[str], *, again: Collection[str] = ()) -> Commands:
        """Return the command that downloads."""
        del again
        return [["apt-get", "install", *_OPTIONS, *_RETRY, "--download-only", "--", *words]]

    def install(self, words: Sequence[str], *, again: Collection[str] = (), lists: bool = True) -> Commands:
        """Return the command that installs; --reinstall is for what is there."""
        del again, lists
        return [["apt-get", "install", *_OPTIONS, "--", *words]]

    def remove(self, names: Sequence[str]) -> Commands:
        """Return the command that keeps configuration files."""
        return [["apt-get", "remove", *_REMOVING, "--", *names]]

    def purge(self, names: Sequence[str]) -> Commands:
        """Return the command; of what has been removed before, it purges the rest."""
        return [["apt-get", "purge", *_REMOVING, "--", *names]]

    def plan(self, output: str) -> Plan:
        """Return the plan of a simulation."""
        return plan.read(output)

    def removed(self, output: str) -> Sequence[str]:
        """Return what apt-get lists before it begins."""
        return plan.read_removed(output)

    def reason(self, output: str, status: int = 0) -> Reason:
        """Return the reason from what apt-get and dpkg have printed."""
        return reason.find(output, status)

    def complaints(self, output: str, names: Collection[str]) -> list[str]:
        """Return what the scripts of these packages have printed of commands that failed."""
        return complaints(reason.by_scripts(output, names))

    def running(self, output: str, processes: Collection[str] = ()) -> str:
        """Return the maintainer script that dpkg ran last."""
        return reason.running(output, processes)

    def script(self, failed: Reason, file: str = "") -> list[str]:
        """Return the command that prints it, from the file that was unpacked or from dpkg's database."""
        del file  # which script of which version has failed is in the reason
        if failed.archive:
            return ["dpkg-deb", "--info", failed.archive, failed.script]
        return ["dpkg-query", "--control-show", failed.package, failed.script]

    def query(self, name: str, architecture: str) -> str:
        """Return what dpkg-query(1) calls it."""
        return f"{name}:{architecture}"

    def files(self, names: Sequence[str]) -> list[str]:
        """Return the command that lists them; directories are among them."""
        return ["dpkg-query", "--listfiles", "--", *names]

    def contents(self, file: str) -> list[str]:
        """Return the command that lists it."""
        return ["dpkg-deb", "--contents", file]

    def config_files(self, names: Sequence[str]) -> list[str]:
        """Return the command that prints them with their checksums; those that a newer version lacks are among them."""
        return ["dpkg-query", "--show", "--showformat=${Conffiles}\\n", "--", *names]

    def read_config_files(self, output: str) -> list[str]:
        """Return the paths."""
        return [found["path"] for found in map(_CONFFILE.fullmatch, output.splitlines()) if found]

    def integrity(self, names: Sequence[str]) -> list[str]:
        """Return dpkg's command."""
        return ["dpkg", "--verify", *names]

    def read_changed_config(self, output: str) -> list[str]:
        """Return the paths of those that are there: dpkg(1), --verify."""
        return [found["path"] for found in map(_CHANGED.fullmatch, output.splitlines()) if found]

    def sources(self, names: Sequence[str]) -> list[str]:
        """Return the command that takes these lines of their descriptions."""
        script = 'apt-cache show --no-all-versions -- "$@" | grep -E "^(Package|Source): "'
        return ["sh", "-c", script, "sh", *names]

    def versions(self, name: str) -> list[str]:
        """Return the command that prints the status and the version."""
        return ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}\\n", "--", name]


FAMILY = _Apt()
