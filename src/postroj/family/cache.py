"""What of a guest can be kept, so that the next one does not download it: facts, a family each."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

UNKNOWN = "unknown:"
"""Begins the URL of an index if nothing can tell whether it has changed."""
METALINK = "metalink+"
"""Begins the URL of a metalink: what it leads to has the SHA256 of the file."""


class Kept(NamedTuple):
    """Where a package manager keeps what it has downloaded.

    Paths have no slash at their begin. In the patterns of directories, `*` stands for any one name.
    """

    lists: Sequence[str]
    """Patterns of directories of package lists, and of what is made of them; files in them are kept, and no directories
    below."""
    packages: Sequence[str]
    """Patterns of the directories of packages that are downloaded and not installed yet."""
    suffixes: tuple[str, ...]
    """How the names of packages' files end."""
    ignored: frozenset[str]
    """Names of files in the directories of lists that are not kept."""
    update: Sequence[str]
    """The command that updates the lists, and then prints where they are from: `read_indexes` reads it."""
    read_indexes: Callable[[str, Collection[str]], Mapping[str, str]]
    """Return the URLs that tell whether a list has changed, each with the file that it was when the lists were made.

    It is given what was printed, and the paths of the lists in the guest. A URL of file: is the image's own, and does
    not change.
    """
    checksums: Callable[[Collection[str], Mapping[str, str]], Mapping[str, Collection[str]]]
    """Return what lists name for packages: for each that they name, its checksums as `sha256:HEX`.

    It is given the paths of the packages in the guest, and those of the lists there, each with the file that it is.
    Raises ValueError if a list is damaged.
    """
    valid_until: Callable[[str], float] = lambda text: 0.0
    """Return when such an index has to be replaced, from its beginning; 0.0 if it does not tell."""
    has_times: bool = False
    """Whether the time of an index's file is the one that its server has told."""
    signatures: str = ""
    """The suffix of the file beside a package's that has its signature; empty for none.

    No list names its checksum: so packages are downloaded by their names, where there are no files of a user's.
    """
    links: frozenset[str] = frozenset()
    """What symbolic links among the lists may lead to; others are not kept."""
    unless: Sequence[str] = ()
    """Files of images that have another package manager, of which nothing is known here."""
