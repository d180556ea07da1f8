"""A guest's users: a range of UIDs and GIDs that nobody on the host has, mapped by user namespaces."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from postroj import process
from postroj.container import kernel
from postroj.container.slot import USERS
from postroj.interrupts import uninterrupted


class Mapping:
    """A user namespace in the making: `count` users, `uid` and up, and groups, `gid` and up, are `outside` and up.

    Nothing waits for it yet.
    """

    def __init__(self, outside: int, *, uid: int = 0, gid: int = 0, count: int = USERS) -> None:
        self._maps = {"uid": f"{uid} {outside} {count}\n", "gid": f"{gid} {outside} {count}\n"}
        # Something must live in a namespace until somebody has it open; cat ends when we do.
        with uninterrupted():
            self._holder = process.start(
                ["unshare", "--user", "--", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )

    @contextmanager
    def namespace(self) -> Iterator[int]:
        """A descriptor of it, inside the block."""
        holder = self._holder
        try:
            assert holder.stdin
            assert holder.stdout
            # What comes back comes from cat, so unshare has done its part.
            with suppress(BrokenPipeError):
                holder.stdin.write(b"\n")
                holder.stdin.flush()
            if not holder.stdout.readline():
                raise OSError("no user namespace can be made: unshare --user failed")
            for kind, text in self._maps.items():
                with open(f"/proc/{holder.pid}/{kind}_map", "w") as file:
                    file.write(text)
            fd = os.open(f"/proc/{holder.pid}/ns/user", os.O_RDONLY)
        finally:
            self.discard()
        try:
            yield fd
        finally:
            os.close(fd)

    def discard(self) -> None:
        """It is not needed, or somebody has it open."""
        holder = self._holder
        holder.kill()
        for stream in (holder.stdin, holder.stdout):
            if stream:
                with suppress(OSError):
                    stream.close()
        holder.wait()


def mapped_mount(path: str, mapping: Mapping, *, recursive: bool = False) -> int:
    """A mount of `path`, seen by nobody yet, with the owners that a mapping gives. Raises OSError where it cannot be.

    A file system that cannot do it (NFS, FUSE, an overlay) gives EINVAL; so do kernels before 5.12.
    """
    with mapping.namespace() as namespace:
        fd = kernel.clone_mount(path, recursive=recursive)
        try:
            kernel.map_owners(fd, namespace, recursive=recursive)
        except OSError:
            os.close(fd)
            raise
    return fd
