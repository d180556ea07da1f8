"""Bind mounts from the host; the source's owner is mapped to the guest's root."""

import os
from collections.abc import Sequence
from typing import NamedTuple

from postroj.container import kernel
from postroj.container.launch.users import IdMapping, mapped_mount
from postroj.errors import HostError
from postroj.events import Warn, emit


class Bind(NamedTuple):
    """A file or directory of the host that the guest sees."""

    source: str
    target: str
    writable: bool = False
    mapped: bool = True
    """Whether what belongs to the source's owner is the guest root's, where that can be."""


def argument(bind: Bind, mounted: str) -> str:
    """The argument of nspawn for one that is mounted at a place of ours."""
    # A colon or backslash in a path is escaped for nspawn: systemd-nspawn(1), --bind=.
    target = bind.target.replace("\\", "\\\\").replace(":", "\\:")
    return f"--bind{'' if bind.writable else '-ro'}={mounted}:{target}"


def open_all(binds: Sequence[Bind], root_uid: int) -> list[int]:
    """A mount of each, seen by nobody yet; what belongs to the source's owner is the guest root's. Raises HostError."""
    mounts: list[int] = []
    try:
        for bind in binds:
            mounts.append(_open(bind, root_uid))
    except BaseException as error:
        for mount in mounts:
            os.close(mount)
        if isinstance(error, OSError):
            raise HostError(f"{bind.source} cannot be bound: {error.strerror}") from error
        raise
    return mounts


def _open(bind: Bind, root_uid: int) -> int:
    if root_uid and bind.mapped:
        owner = os.stat(bind.source)
        mapping = IdMapping(root_uid, uid=owner.st_uid, gid=owner.st_gid, count=1)
        try:
            return mapped_mount(bind.source, mapping, recursive=True)
        except OSError as error:
            emit(
                Warn(
                    f"files in {bind.source} belong to nobody in the guest: owners cannot be mapped ({error.strerror})"
                )
            )
    return kernel.clone_mount(bind.source, recursive=True)
