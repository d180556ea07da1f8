"""What a machine can be called."""

import re

from postroj.errors import UsageError

_VALID = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_MAX = 48
"""Below the 64 of a host name, and short enough for the notification socket's path (108 bytes)."""


def check(name: str) -> None:
    """Raise UsageError unless a machine can be called so: as a host name, lower case, at most 48 characters."""
    if len(name) > _MAX or not _VALID.fullmatch(name):
        raise UsageError(
            f"'{name[:80]}' cannot be a machine's name",
            hint=f"use lower-case letters, digits and hyphens, {_MAX} characters at most",
        )
