"""What a machine takes of the host, tried out where nobody sees it."""

import os
from contextlib import closing

from postroj.container import kernel
from postroj.container.host import cgroup
from postroj.container.host.slot import SLOTS, Slot
from postroj.container.launch import mounts
from postroj.container.launch.holder import Holder
from postroj.container.launch.state import State
from postroj.container.launch.users import IdMapping, mapped_mount

_LAST = Slot(SLOTS - 1)
_DIRECTORY = "/tmp"
"""What it is mounted on, where the holder alone sees it: nothing is made on the host that a kill could leave."""


def overlay(image: str, *, own_users: bool) -> None:
    """Mount what a machine mounts, with a directory as its image. Raises OSError."""
    holder = Holder("--mount", "--propagation", "private")
    try:
        holder.wait()
        opened = mapped_mount(image, IdMapping(_LAST.root_uid)) if own_users else kernel.clone_mount(image)
        hierarchy, namespace = cgroup.own_mount(), holder.namespace("mnt")
        try:
            with closing(State()) as state:
                root_uid = _LAST.root_uid if own_users else 0
                mounts.make(namespace, _plan(opened, root_uid, state, hierarchy))
        finally:
            os.close(namespace)
            os.close(opened)
            if hierarchy is not None:
                os.close(hierarchy)
    finally:
        holder.discard()


def _plan(image: int, root_uid: int, state: State, hierarchy: int | None) -> mounts.Plan:
    return mounts.Plan(
        name="trial",
        directory=_DIRECTORY,
        image=image,
        layer=None,
        root_uid=root_uid,
        state=state,
        ephemeral=True,
        size=1 << 20,
        resolv_conf="",
        binds=(),
        devices=False,
        nodes={},
        cgroup=hierarchy,
    )
