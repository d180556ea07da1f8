"""What a package's file says of itself, whatever its format."""

from typing import NamedTuple


class Facts(NamedTuple):
    """It is what the reader of each format returns."""

    name: str
    version: str
    """As the format writes it, with epoch and release."""
    architecture: str
    services: tuple[str, ...] = ()
    """The services that it installs, if the format tells."""
