"""What is learnt of a guest from its box: Vagrantfiles are read as texts, within bounds."""

import glob
import os
import re
from collections.abc import Iterator, Sequence

from postroj.errors import HostError
from postroj.vm.box import LINUX, SSH, WINDOWS, WINRM, Box

_LARGEST = 64 * 1024
_COMMUNICATOR = re.compile(r"^[^#\n]*\.communicator\s*=\s*[:\"']+(ssh|winssh|winrm)\b", re.MULTILINE)
_GUEST = re.compile(r"^[^#\n]*\.guest\s*=\s*[:\"']+(linux|windows|freebsd|openbsd)\b", re.MULTILINE)


def learn(box: Box, boxes: str) -> Box:
    """Return a box with what its Vagrantfile, or the user's, says of the guest; Linux and SSH if that is nothing.

    `boxes` is the directory that has it. Raises HostError.
    """
    texts = list(_vagrantfiles(box, boxes))
    communicator = box.communicator or _first(_COMMUNICATOR, texts)
    guest = box.guest or _first(_GUEST, texts) or (WINDOWS if communicator.startswith("win") else LINUX)
    if not communicator:
        communicator = WINRM if guest == WINDOWS else SSH
    return box._replace(guest=guest, communicator=communicator)


def _first(pattern: re.Pattern[str], texts: Sequence[str]) -> str:
    return next((found[1] for found in map(pattern.search, texts) if found), "")


def _vagrantfiles(box: Box, boxes: str) -> Iterator[str]:
    """Return the texts of the Vagrantfiles that count, bounded: the user's own first, and the newest box before others.

    A directory may have named another box before.
    """
    if box.directory:
        yield _read(os.path.join(box.directory, "Vagrantfile"))
    pattern = os.path.join(glob.escape(boxes), "**", box.provider, "Vagrantfile")
    for path in sorted(glob.glob(pattern, recursive=True), key=os.path.getmtime, reverse=True):
        yield _read(path)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise HostError(f"{path} cannot be read: {error.strerror}") from error
