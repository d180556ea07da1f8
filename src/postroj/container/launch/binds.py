"""Bind mounts from the host; the source's owner is mapped to the guest's root."""

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from postroj.container import kernel
from postroj.container.launch.users import IdMapping, mapped_mount
from postroj.errors import HostError, UsageError
from postroj.events import Warn, emit


class Bind(NamedTuple):
    """A file or directory of the host that the guest sees."""

    source: str
    target: str
    writable: bool = False
    mapped: bool = True
    """Whether what belongs to the source's owner is the guest root's, where that can be."""


_SYSTEM = {f"/{name}" for name in ("bin", "dev", "etc", "lib", "lib64", "proc", "run", "sbin", "sys", "usr", "var")}


def read(text: str, *, writable: bool) -> Bind:
    """Return the bind that a text describes: SOURCE, or SOURCE:TARGET. Raises UsageError."""
    # As systemd-nspawn(1) has it: a colon that is part of a path is written \:
    parts = [part.replace("\\:", ":") for part in re.split(r"(?<!\\):", text)]
    if len(parts) > 2 or not all(parts):
        raise UsageError(f"'{text[:200]}' is not SOURCE or SOURCE:TARGET", hint="write a colon in a path as \\:")
    source = os.path.abspath(parts[0])
    target = parts[-1] if len(parts) == 2 else source
    if not os.path.exists(source):
        raise UsageError(f"there is no {source} to bind")
    if not target.startswith("/") or ".." in target.split("/") or not target.strip("/"):
        raise UsageError(
            f"'{target[:200]}' cannot be bound to", hint="name an absolute path in the guest, below its root"
        )
    if os.path.normpath(target) in _SYSTEM:
        raise UsageError(f"cannot bind over {target}: the guest needs it to boot", hint="bind to a path below it")
    return Bind(source, target, writable)


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
