"""What of a guest can be kept, so that the next one does not download it: facts, a family each."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Kept(NamedTuple):
    """Where a package manager keeps what it has downloaded. Paths are without a leading slash."""

    lists: Sequence[str]
    """The directories of package lists, and of what is made of them; files in them are kept, directories are not."""
    packages: str
    """The directory of packages that are downloaded and not installed yet."""
    suffix: str
    """How the name of a package's file ends."""
    ignored: frozenset[str]
    """Names of files that are not kept."""
    update: Sequence[str]
    """The command that updates the lists, and then prints where they are from: `read_indexes` reads it."""
    read_indexes: Callable[[str], Mapping[str, str]]
    """Return the URLs that tell whether a list has changed, each with the file that it was when the lists were made."""
    is_listed: Callable[[str, str, Sequence[str]], bool]
    """Return whether lists, by their paths, name a package's file of this name with this SHA256."""
    valid_until: Callable[[str], float]
    """Return when such a file has to be replaced, from its beginning; 0.0 if it does not tell."""
