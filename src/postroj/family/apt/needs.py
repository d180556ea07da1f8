"""What packages need in one version only, as `apt-cache show` tells it."""

import re

_FIELD = re.compile(r"(?:Pre-)?Depends: (?P<needed>.+)")
_EXACT = re.compile(r"(?P<name>[a-z0-9][a-z0-9+.-]*[a-z0-9+.])(?::[a-z0-9-]+)? \(= (?P<version>[A-Za-z0-9.+:~-]+)\)")
"""A dependency without an alternative: Debian policy 7.1."""


def read(output: str) -> list[str]:
    """Return them as `NAME=VERSION`, each once."""
    fields = filter(None, map(_FIELD.fullmatch, output.splitlines()))
    parts = [part.strip() for field in fields for part in field["needed"].split(",")]
    return list(dict.fromkeys(f"{found['name']}={found['version']}" for found in map(_EXACT.fullmatch, parts) if found))
