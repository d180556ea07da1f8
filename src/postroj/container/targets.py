"""Whether what is to be bound can be bound to where it is to be: looked up in the image before anything boots."""

import os
import stat
from collections.abc import Sequence

from postroj.container.guest import tmpfiles
from postroj.container.guest.imagefiles import Tree
from postroj.container.launch.binds import Bind
from postroj.errors import UsageError

_KERNELS = ("/proc", "/sys")
_OWN = ("/dev", "/run", "/tmp")
"""Mounted anew in each machine: what the image has there is not seen."""
_EMPTIED = ("/dev", "/run")
_PATH = "bind to another path, such as /srv or /mnt"
_ELSEWHERE = f"{_PATH}, or read-only by --bind-ro"


def check(root: str, binds: Sequence[Bind], *, boots: bool) -> None:
    """Raise UsageError for a bind that cannot be mounted on its target, or whose files the guest would delete."""
    with Tree(root) as tree:
        globs: list[str] | None = None
        targets = [tree.resolved(bind.target) for bind in binds]
        for bind, target in zip(binds, targets, strict=True):
            is_directory = os.path.isdir(bind.source)
            is_open = boots and bind.writable and is_directory
            _check_place(bind, target, is_open)
            if not any(_is_below(target, other) for other in (*_OWN, *targets)):
                _check_kind(tree, bind, target, is_directory)
            if is_open:
                globs = tmpfiles.deleted(tree) if globs is None else globs
                _check_kept(bind, target, globs)


def _check_place(bind: Bind, target: str, is_open: bool) -> None:
    if any(_is_below(target, place) for place in _KERNELS):
        raise UsageError(f"nothing can be bound to {bind.target}: the kernel makes what is there", hint=_PATH)
    if is_open and (place := next((p for p in _EMPTIED if _is_below(target, p)), "")):
        raise UsageError(
            f"{bind.source} cannot be bound writable to {bind.target}: the machine's systemd makes and empties"
            f" directories in {place}, and would delete files on this host",
            hint=_ELSEWHERE,
        )


def _check_kind(tree: Tree, bind: Bind, target: str, is_directory: bool) -> None:
    path = target
    while (mode := tree.mode(path)) is None:
        path = os.path.dirname(path)
    there, ours = stat.S_ISDIR(mode), is_directory or path != target
    if there == ours:
        return
    if path != target:
        raise UsageError(f"cannot bind to {bind.target}: {path} is a file in the image, and not a directory")
    kinds = ("a file", "a directory")
    name = os.path.basename(bind.source)
    raise UsageError(
        f"cannot bind {bind.source}, {kinds[is_directory]}, to {bind.target}, which is {kinds[there]} in the image",
        hint=f"bind to a file's path: {os.path.join(bind.target, name)}" if there else "bind to a directory's path",
    )


def _check_kept(bind: Bind, target: str, globs: Sequence[str]) -> None:
    found = tmpfiles.first_within(globs, target)
    if found:
        what = f"what is in {found}" if found == target else found
        raise UsageError(
            f"{bind.source} cannot be bound writable to {bind.target}: the machine's systemd-tmpfiles deletes {what},"
            " and would do so on this host",
            hint=f"bind to {os.path.join(bind.target, 'NAME')}, or read-only by --bind-ro"
            if target in ("/tmp", "/var/tmp")
            else _ELSEWHERE,
        )


def _is_below(path: str, place: str) -> bool:
    return path.startswith(f"{place}/")
