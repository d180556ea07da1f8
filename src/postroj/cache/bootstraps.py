"""What bootstraps have downloaded: the next one of the same source downloads what has changed.

Unlike a layer, it is written to while it is used: by mmdebstrap and by the scripts of the distribution's own packages,
for no other source. So what is in it is only taken as long as it is what a pull that succeeded has left, or, of
packages, what one that was broken off has.
"""

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from postroj.cache import seal as seals
from postroj.cache import shelf
from postroj.cache.seal import Seal
from postroj.deadline import NEVER

_FIELD = re.compile(r"^(Package|Version|Architecture): (\S+)$", re.MULTILINE)


class Downloads:
    """Directories for apt, ours for a while."""

    def __init__(self, path: str) -> None:
        self.packages = os.path.join(path, "archives")
        self.lists = os.path.join(path, "lists")
        self._path = path
        self._seal = os.path.join(path, "seal")

    def prepare(self) -> None:
        """Have them there, without what is not as it was left. Raises OSError."""
        files = {}
        with suppress(OSError, ValueError):
            files = dict(seals.read(self._seal).files)
        with suppress(FileNotFoundError):
            os.unlink(self._seal)
        damaged = [name for name, file in files.items() if not self._is_same(name, file)]
        lists = {os.path.join("lists", name) for name in _names(self.lists)}
        if lists != {name for name in files if name.startswith("lists/")} or any(map(lists.__contains__, damaged)):
            shutil.rmtree(self.lists, ignore_errors=True)
        for name in damaged:
            with suppress(OSError):
                os.unlink(os.path.join(self._path, name))
        for directory in (self.packages, self.lists):
            os.makedirs(directory, exist_ok=True)

    def _is_same(self, name: str, file: seals.File) -> bool:
        with suppress(OSError):
            found = seals.look(os.path.join(self._path, name))
            return (found.size, found.sha256) == (file.size, file.sha256)
        return False

    def seal(self, status: str) -> None:
        """Note what is there, after a bootstrap that has succeeded; older packages than dpkg's `status` has go.

        Raises OSError.
        """
        installed = {_file_name(paragraph) for paragraph in status.split("\n\n")}
        files = {}
        for directory in ("archives", "lists"):
            for name in _names(os.path.join(self._path, directory)):
                path = os.path.join(self._path, directory, name)
                if directory == "archives" and name not in installed:
                    os.unlink(path)
                else:
                    files[os.path.join(directory, name)] = seals.look(path)
        seals.write(self._seal, Seal(time.time(), files, {}, {}))


@contextmanager
def kept(key: str) -> Iterator[Downloads]:
    """The downloads of the source that `key` tells, ours for the block; another process is waited for."""
    with shelf.opened(f"bootstrap {key}", deadline=NEVER) as own:
        found = Downloads(own.path)
        found.prepare()
        own.note_asked(time.time())
        yield found


def _file_name(paragraph: str) -> str:
    """Return how apt names the file of a package: apt quotes these two characters of a version."""
    fields = dict(_FIELD.findall(paragraph))
    version = fields.get("Version", "").replace("_", "%5f").replace(":", "%3a")
    return f"{fields.get('Package')}_{version}_{fields.get('Architecture')}.deb"


def _names(directory: str) -> list[str]:
    """Return the regular files in a directory, without apt's lock."""
    with suppress(FileNotFoundError):
        return [one.name for one in os.scandir(directory) if one.is_file(follow_symlinks=False) and one.name != "lock"]
    return []
