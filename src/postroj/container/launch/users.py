"""A guest's users: a range of UIDs and GIDs that nobody on the host has, mapped by user namespaces."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from postroj.container import kernel
from postroj.container.host.slot import USERS
from postroj.container.launch.holder import Holder


class IdMapping:
    """A user namespace in the making: `count` users, `uid` and up, and groups, `gid` and up, are `outside` and up.

    Nothing waits for it yet.
    """

    def __init__(self, outside: int, *, uid: int = 0, gid: int = 0, count: int = USERS) -> None:
        self._maps = {"uid": f"{uid} {outside} {count}\n", "gid": f"{gid} {outside} {count}\n"}
        self._holder = Holder("--user")

    @contextmanager
    def namespace(self) -> Iterator[int]:
        """A descriptor of it, inside the block. Raises OSError where it cannot be made."""
        try:
            pid = self._holder.wait()
            for kind, text in self._maps.items():
                with open(f"/proc/{pid}/{kind}_map", "w") as file:
                    file.write(text)
            fd = self._holder.namespace("user")
        finally:
            self.discard()
        try:
            yield fd
        finally:
            os.close(fd)

    def discard(self) -> None:
        """It is not needed, or somebody has it open."""
        self._holder.discard()


def mapped_mount(path: str, mapping: IdMapping, *, recursive: bool = False) -> int:
    """A mount of `path`, seen by nobody yet, with the owners that a mapping gives. Raises OSError where it cannot be.

    A file system that cannot do it (NFS, FUSE, an overlay; tmpfs before 6.3) gives EINVAL, a kernel before 5.12 ENOSYS.
    """
    return mapped_mounts([path], mapping, recursive=recursive)[0]


def mapped_mounts(paths: Sequence[str], mapping: IdMapping, *, recursive: bool = False) -> list[int]:
    """Return mounts of several paths, as `mapped_mount` makes them."""
    mounts: list[int] = []
    with mapping.namespace() as namespace:
        try:
            for path in paths:
                mounts.append(kernel.clone_mount(path, recursive=recursive))
                kernel.map_owners(mounts[-1], namespace, recursive=recursive)
        except OSError:
            for fd in mounts:
                os.close(fd)
            raise
    return mounts
