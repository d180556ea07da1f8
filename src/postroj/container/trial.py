"""What a machine takes of the host, tried out where nobody sees it."""

import os
import subprocess
import tempfile

from postroj import process
from postroj.container import cgroup, kernel, mounts
from postroj.container.slot import USERS
from postroj.container.users import Mapping, mapped_mount

_ROOT_UID = 0x70000000 - USERS


def overlay(image: str, *, own_users: bool) -> None:
    """Mount what a machine mounts, with a directory as its image. Raises OSError, ToolError."""
    holder = process.start(
        ["unshare", "--mount", "--propagation", "private", "--", "cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdin
        assert holder.stdout
        holder.stdin.write(b"\n")
        holder.stdin.flush()
        if not holder.stdout.readline():
            raise OSError("unshare --mount failed")
        opened = mapped_mount(image, Mapping(_ROOT_UID)) if own_users else kernel.clone_mount(image)
        namespace = os.open(f"/proc/{holder.pid}/ns/mnt", os.O_RDONLY)
        try:
            with tempfile.TemporaryDirectory() as directory:
                mounts.make(namespace, _plan(directory, opened, _ROOT_UID if own_users else 0))
        finally:
            os.close(namespace)
            os.close(opened)
    finally:
        process.stop(holder)
        for stream in (holder.stdin, holder.stdout):
            if stream:
                stream.close()


def _plan(directory: str, image: int, root_uid: int) -> mounts.Plan:
    return mounts.Plan(
        name="trial",
        directory=directory,
        image=image,
        root_uid=root_uid,
        ephemeral=True,
        size=1 << 20,
        binds=(),
        devices=False,
        remount_cgroup=not cgroup.is_unified(),
    )
