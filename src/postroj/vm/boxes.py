"""The boxes that Vagrant has for us, and what they say of the guest in them."""

import glob
import os
import re
from collections.abc import Iterator, Sequence

from postroj import process
from postroj.errors import HostError
from postroj.settings import vms_dir
from postroj.vm.box import LINUX, SSH, WINDOWS, WINRM, Box
from postroj.vm.vagrant import environment, with_hint

_LISTED = re.compile(r"^(?P<name>\S+)\s+\((?P<provider>[^,)]+), (?P<version>[^,)]+)")
_LARGEST = 64 * 1024
_COMMUNICATOR = re.compile(r"^[^#\n]*\.communicator\s*=\s*[:\"']+(ssh|winssh|winrm)\b", re.MULTILINE)
_GUEST = re.compile(r"^[^#\n]*\.guest\s*=\s*[:\"']+(linux|windows|freebsd|openbsd)\b", re.MULTILINE)
_BOX = re.compile(r"^[^#\n]*\.vm\.box\s*=\s*[\"'](?P<name>[^\"'\n]+)[\"']", re.MULTILINE)


def add(box: Box) -> None:
    """Have Vagrant fetch a box, unless it is there. Raises HostError."""
    if box.directory or any(_is_version(box, there) for there in _versions(box.name, box.provider)):
        return
    words = ["vagrant", "box", "add", "--force", f"--provider={box.provider}"]
    words += [f"--box-version={box.version}"] if box.version else []
    words += ["--name", box.name, box.file] if box.file else [box.name]
    with_hint(lambda: process.follow(words, subject=box.image, env=environment(box.provider)), box)


def _is_version(box: Box, there: str) -> bool:
    return not box.version or box.version == there


def _versions(name: str, provider: str) -> list[str]:
    """Return the versions of a box that are here."""
    listed = with_hint(lambda: process.run(["vagrant", "box", "list"], env=environment(provider)))
    found = filter(None, map(_LISTED.match, listed.splitlines()))
    return [one["version"] for one in found if (one["name"], one["provider"]) == (name, provider)]


def learn(box: Box) -> Box:
    """Return a box with what its Vagrantfile, or the user's, says of the guest; Linux and SSH if that is nothing."""
    texts = list(_vagrantfiles(box))
    communicator = box.communicator or _first(_COMMUNICATOR, texts)
    guest = box.guest or _first(_GUEST, texts) or (WINDOWS if communicator.startswith("win") else LINUX)
    if not communicator:
        communicator = WINRM if guest == WINDOWS else SSH
    return box._replace(guest=guest, communicator=communicator)


def _first(pattern: re.Pattern[str], texts: Sequence[str]) -> str:
    return next((found[1] for found in map(pattern.search, texts) if found), "")


def _vagrantfiles(box: Box) -> Iterator[str]:
    """Return the texts of the Vagrantfiles that count, the user's own first, bounded."""
    name = box.name
    if box.directory:
        users = _read(os.path.join(box.directory, "Vagrantfile"))
        yield users
        named = _BOX.search(users)
        name = named["name"] if named else ""
    place = os.path.join(vms_dir(), ".vagrant", "boxes", glob.escape(name.replace("/", "-VAGRANTSLASH-")))
    pattern = os.path.join(place, "**", box.provider, "Vagrantfile")
    for path in sorted(glob.glob(pattern, recursive=True)) if name else ():
        yield _read(path)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise HostError(f"{path} cannot be read: {error.strerror}") from error
