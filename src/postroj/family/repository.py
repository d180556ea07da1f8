"""Package repositories that a user adds: what is told of one, and what a family makes of it."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

KEYS = "/etc/postroj/key-{}.asc"
"""Where the guest has the keys that such repositories are signed by, numbered from 1; ASCII-armored."""


class Repository(NamedTuple):
    """A repository that is added to those of the image. All of it has been checked against what Syntax allows."""

    url: str
    words: Sequence[str] = ()
    """What follows the URL, in the order of Syntax."""
    is_signed: bool = True


class Syntax(NamedTuple):
    """How a user writes a repository of a family."""

    form: str = "URL"
    """For a message."""
    words: re.Pattern[str] = re.compile("")
    """What follows the URL, with one space between two words."""


class Addition(NamedTuple):
    """What has to be done in a guest so that it has further repositories."""

    files: Mapping[str, str]
    """What is written, by its path."""
    commands: Sequence[Sequence[str]] = ()
    """Commands that are run then, one after the other, until one fails."""


def ini(repositories: Sequence[Repository], keys: Sequence[str]) -> str:
    """Return the .repo file that dnf, yum and zypper read."""
    sections = []
    for number, one in enumerate(repositories, 1):
        checks = f"gpgcheck=1\ngpgkey={' '.join(f'file://{key}' for key in keys)}\n"
        if not one.is_signed:
            checks = "gpgcheck=0\nrepo_gpgcheck=0\npkg_gpgcheck=0\n"
        # RHEL's dnf goes on without a repository that cannot be reached, unless it is told not to.
        head = f"[postroj-{number}]\nname=postroj-{number}\nbaseurl={one.url}\nenabled=1\nskip_if_unavailable=0\n"
        sections.append(head + checks)
    return "\n".join(sections)
