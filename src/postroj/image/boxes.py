"""Images of virtual machines: the curated boxes of boxes.toml, and the references by which a user names another one."""

import os
import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from postroj.errors import UsageError

if TYPE_CHECKING:
    import datetime

SCHEME = "vagrant:"
_SUFFIX = ".box"
_VAGRANTFILE = "Vagrantfile"
_PATHS = ("/", "./", "../", "~/")
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_NAMED = re.compile(rf"(?P<name>{_PART}/{_PART})(?:@(?P<version>[0-9][A-Za-z0-9.-]{{0,63}}))?")


class Box(NamedTuple):
    """A box that there is for some providers."""

    name: str
    """OWNER/BOX, as `vagrant box add` takes it."""
    providers: tuple[str, ...]
    unverified: str = ""
    """What of it is not known for sure; empty for nothing."""


class Entry(NamedTuple):
    """One curated image of a virtual machine; see boxes.toml for the fields."""

    name: str
    alias: str
    """Empty for an image that is in the other catalogue as well, which has its alias and its end of support."""
    eol: "datetime.date | None"
    guest: str
    architectures: tuple[str, ...]
    communicator: str
    memory: int
    """In MiB."""
    cores: int
    boxes: tuple[Box, ...]

    @property
    def providers(self) -> tuple[str, ...]:
        """The providers that one of its boxes is for, each once."""
        return tuple(dict.fromkeys(provider for box in self.boxes for provider in box.providers))


class Reference(NamedTuple):
    """A box that the user has named."""

    name: str = ""
    """OWNER/BOX of a registry."""
    version: str = ""
    """The version that is asked for; empty for the newest."""
    file: str = ""
    """The absolute path of a .box file."""
    directory: str = ""
    """The absolute path of a directory with a Vagrantfile of the user's."""


@cache
def entries() -> tuple[Entry, ...]:
    """All of them, in the order of boxes.toml."""
    import tomllib  # a reference to a container's image does not need it

    with open(os.path.join(os.path.dirname(__file__), "boxes.toml"), "rb") as file:
        return tuple(_entry(table) for table in tomllib.load(file)["box"])


def _entry(table: dict[str, object]) -> Entry:
    fields: dict[str, object] = {"alias": "", "eol": None, **table}
    boxes = tuple(Box(**{**box, "providers": tuple(box["providers"])}) for box in table["boxes"])  # type: ignore[attr-defined]
    architectures = tuple(table["architectures"])  # type: ignore[arg-type, var-annotated]
    return Entry(**{**fields, "boxes": boxes, "architectures": architectures})  # type: ignore[arg-type]


def find(name: str) -> Entry | None:
    """Return the entry of a name or an alias; None if there is none."""
    return next((entry for entry in entries() if name and name in (entry.name, entry.alias)), None)


def parse(text: str) -> Reference | None:
    """Return what a reference to a box means; None for a text that is not one. Raises UsageError for a wrong one.

    `vagrant:OWNER/BOX`, `vagrant:OWNER/BOX@VERSION`, the path of a .box file, or of a directory with a Vagrantfile.
    """
    if text.startswith(SCHEME):
        match = _NAMED.fullmatch(text.removeprefix(SCHEME))
        if not match:
            raise UsageError(f"'{text[:200]}' is not a box of Vagrant", hint="write vagrant:OWNER/BOX[@VERSION]")
        return Reference(name=match["name"], version=match["version"] or "")
    if not text.startswith(_PATHS) and text not in (".", ".."):
        return None
    path = os.path.abspath(os.path.expanduser(text))
    if path.endswith(_SUFFIX) and not os.path.isdir(path):
        return Reference(file=path)
    # A root file system that has a Vagrantfile among its files is one still.
    if os.path.isfile(os.path.join(path, _VAGRANTFILE)) and not os.path.isdir(os.path.join(path, "etc")):
        return Reference(directory=path)
    return None


def needs_vm(text: str) -> UsageError:
    """Return the error for an image of a virtual machine where only containers are possible."""
    hint = "`postroj run` and `pkgprobe` fetch it by themselves; `postroj vm rm` removes what is made of it"
    return UsageError(f"{text[:200]} is an image of a virtual machine, and this is for images of containers", hint=hint)
