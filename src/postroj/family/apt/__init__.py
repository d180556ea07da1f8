"""Debian, Ubuntu."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from postroj.family import Commands, Family
from postroj.family.apt import plan, reason
from postroj.family.apt.verification import SCRIPT
from postroj.family.bootable import installing
from postroj.family.plan import Plan
from postroj.family.reason import Reason

NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.](:[a-z0-9-]+)?(=[A-Za-z0-9.+:~-]+|/[a-z0-9-]+)?(?<!-)")
"""A package name (Debian policy 5.6.1), and what apt-get(8) lets follow it: architecture, version or suite.

None may end in a hyphen: apt-get takes that for the wish to remove the package.
"""

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


class _Apt(Family):
    name = "apt"
    tools = ("usr/bin/apt-get",)
    # mount is in no dependency of systemd's since Debian 14, and systemd cannot boot without it
    systemd = installing(_SYSTEMD, systemd="systemd systemd-sysv", mount="mount")
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
    starts_services = True  # Debian policy 9.3
    environment: ClassVar[Mapping[str, str]] = {"DEBIAN_FRONTEND": "noninteractive"}
    verification = SCRIPT

    def resolve(self, words: Sequence[str], *, lists: bool) -> Commands:
        """Return a simulation; it reads the lists that are there, and asks no repository in either case."""
        del lists
        return [["apt-get", "install", *_OPTIONS, "--simulate", "--quiet=1", "--", *words]]

    def update(self) -> Sequence[str]:
        """Return the command that fails if one of the lists does (apt 2.3 and newer)."""
        return ["apt-get", "update", "--option=APT::Update::Error-Mode=any", *_RETRY]

    def is_outdated(self, output: str) -> bool:
        """Return whether apt before 2.3 has gone on without a list."""
        return _INCOMPLETE in output

    def fetch(self, words: Sequence[str], *, again: Collection[str] = ()) -> Commands:
        """Return the command that downloads."""
        del again
        return [["apt-get", "install", *_OPTIONS, *_RETRY, "--download-only", "--", *words]]

    def install(self, words: Sequence[str], *, again: Collection[str] = (), lists: bool = True) -> Commands:
        """Return the command that installs; --reinstall is for what is there."""
        del again, lists
        return [["apt-get", "install", *_OPTIONS, "--", *words]]

    def plan(self, output: str) -> Plan:
        """Return the plan of a simulation."""
        return plan.read(output)

    def reason(self, output: str, status: int = 0) -> Reason:
        """Return the reason from what apt-get and dpkg have printed."""
        return reason.find(output, status)

    def running(self, output: str) -> str:
        """Return the maintainer script that dpkg ran last."""
        return reason.running(output)

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


FAMILY = _Apt()
