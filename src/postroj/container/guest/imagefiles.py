"""What is in an image, looked up before anything runs in it, and without following a link out of it."""

import os
import stat
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from postroj.container import kernel

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What systemd-nspawn gives a command that has none of its own."""

_MOST = 1 << 20


class Missing(Exception):
    """There is no such file."""


class NotExecutable(Exception):
    """It cannot be executed, or run where it is to."""


class Tree:
    """An image's root directory, open inside the block; `bound` are the places where the guest sees something else."""

    def __init__(self, root: str, bound: Sequence[str] = ()) -> None:
        self._path = root
        self._bound = [os.path.normpath(target) for target in bound]

    def __enter__(self) -> Self:
        self._root = os.open(self._path, os.O_PATH | os.O_DIRECTORY)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._root)

    def is_executable(self, path: str) -> bool:
        """Whether it is a file that can be executed; what is bound is taken to be."""
        mode = self.mode(path)
        return self._is_bound(path) or (mode is not None and stat.S_ISREG(mode) and bool(mode & 0o111))

    def check_directory(self, path: str) -> None:
        """Raise NotExecutable where nothing can be run in it."""
        mode = self.mode(path)
        if not self._is_bound(path) and not (mode is not None and stat.S_ISDIR(mode)):
            raise NotExecutable(f"the guest has no directory {path} to run in")

    def find(self, command: str, search_path: str | None, workdir: str) -> str:
        """The path of a command, as a shell finds it. Raises Missing, NotExecutable."""
        if "/" in command:
            candidates = [os.path.join(workdir, command)]
        else:
            directories = (_PATH if search_path is None else search_path).split(":")
            candidates = [os.path.join(workdir, directory, command) for directory in directories]
        for path in candidates:
            if self.is_executable(path):
                return path
        if any(self.mode(path) is not None for path in candidates):
            raise NotExecutable(f"{command} cannot be executed in the guest")
        raise Missing(f"the guest has no {command}")

    def uid(self, user: str) -> int | None:
        """The UID of a user, given by name or UID, of /etc/passwd; None where there is none."""
        for line in self.text("/etc/passwd").splitlines():
            name, *fields = line.split(":")
            if len(fields) > 2 and fields[1].isdecimal() and user in (name, fields[1]):
                return int(fields[1])
        return None

    def has_musl(self) -> bool:
        """Whether its C library is musl, as Alpine's is."""
        return any(name.startswith("ld-musl-") for name in self.names("/lib"))

    def names(self, path: str) -> list[str]:
        """Return the sorted names in a directory; none if there is no such directory."""
        try:
            fd = kernel.open_in_root(self._root, path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return []
        try:
            return sorted(os.listdir(fd))
        finally:
            os.close(fd)

    def resolved(self, path: str) -> str:
        """Return a path without links and without `..`, as far as it is there."""
        missing: list[str] = []
        path = os.path.normpath(path)
        while True:
            try:
                fd = kernel.open_in_root(self._root, path, os.O_PATH)
            except OSError:
                path, name = os.path.split(path)
                missing.insert(0, name)
                if path in ("", "/"):
                    return os.path.join("/", *missing)
                continue
            try:
                found = os.readlink(f"/proc/self/fd/{fd}")
            finally:
                os.close(fd)
            inside = os.path.relpath(found, os.readlink(f"/proc/self/fd/{self._root}"))
            return os.path.normpath(os.path.join("/", inside, *missing))

    def text(self, path: str) -> str:
        """The beginning of a file; nothing where there is none, or no plain one: to open a device may be to act."""
        if (fd := self.open(path)) < 0:
            return ""
        with open(fd, encoding="utf-8", errors="replace") as file:
            return file.read(_MOST)

    def open(self, path: str) -> int:
        """Return a descriptor of a plain file, to be read; -1 where there is none."""
        try:
            fd = kernel.open_in_root(self._root, path, os.O_PATH)
        except OSError:
            return -1
        try:
            return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY) if stat.S_ISREG(os.fstat(fd).st_mode) else -1
        finally:
            os.close(fd)

    def _is_bound(self, path: str) -> bool:
        normal = os.path.normpath(path)
        return any(normal == target or normal.startswith(f"{target}/") for target in self._bound)

    def mode(self, path: str) -> int | None:
        """Return the st_mode of what is at a path, links followed; None if nothing is there."""
        try:
            fd = kernel.open_in_root(self._root, path, os.O_PATH)
        except OSError:
            return None
        try:
            return os.fstat(fd).st_mode
        finally:
            os.close(fd)
