"""The apt family: argument lists only."""

import re
from collections.abc import Sequence

SUFFIX = ".deb"
NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.](:[a-z0-9-]+)?(=[A-Za-z0-9.+:~-]+|/[a-z0-9-]+)?(?<!-)")
"""A package name (Debian policy 5.6.1), and what apt-get(8) lets follow it: architecture, version or suite.

None may end in a hyphen: apt-get takes that for the wish to remove the package.
"""

INCOMPLETE = "Some index files failed to download"
"""What `update` says when it went on without a list, as apt before 2.3 does."""

ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive"}

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


def update() -> list[str]:
    """Update the package lists; if one of them fails, all of it does (apt 2.3 and newer)."""
    return ["apt-get", "update", "--option=APT::Update::Error-Mode=any", *_RETRY]


def resolve(packages: Sequence[str]) -> list[str]:
    """Find out what the installation does, without doing it: fails for an unmet dependency or an unknown name."""
    return ["apt-get", "install", *_OPTIONS, "--simulate", "--quiet=1", "--", *packages]


def fetch(packages: Sequence[str]) -> list[str]:
    """Download all that the installation takes, and install nothing."""
    return ["apt-get", "install", *_OPTIONS, *_RETRY, "--download-only", "--", *packages]


def install(packages: Sequence[str]) -> list[str]:
    """Install what has been fetched."""
    return ["apt-get", "install", *_OPTIONS, "--", *packages]
