"""What a machine has mounted before nspawn starts, in a mount namespace that ends with it: nothing is left to undo."""

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from postroj.container import kernel
from postroj.container.launch import devices
from postroj.container.launch.state import State

_HOSTS = "127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost\n"


class Plan(NamedTuple):
    """What is to be mounted."""

    name: str
    """The machine's, and its host name."""
    directory: str
    """An empty directory for all of it."""
    image: int
    """A mount of the image, seen by nobody yet."""
    layer: int | None
    """A mount of a directory whose files the guest sees over those of the image, if it is `ephemeral`."""
    root_uid: int
    """What the guest's root is outside."""
    state: State
    """What the guest has written in the boots before, and writes in this one."""
    ephemeral: bool
    """Whether the guest writes to memory, and not to the image itself."""
    size: int
    """The bytes of memory that it may write to; 0: half of what the host has, tmpfs(5)."""
    resolv_conf: str
    """What the guest has as its /etc/resolv.conf; empty: what the image has."""
    binds: Sequence[int]
    """More mounts, of what the guest is to see of the host."""
    devices: bool
    """Whether device nodes in the image are devices: a hostile image could bring the host's disk so."""
    nodes: dict[str, int]
    """Device nodes of the host that it gets, with their device numbers."""
    cgroup: int | None
    """A mount of cgroup2, seen by nobody yet, where /sys/fs/cgroup is something else."""


def root_of(directory: str, *, ephemeral: bool) -> str:
    """Where the guest's root is, once `make` has been there."""
    return f"{directory}/root" if ephemeral else f"{directory}/image"


def tmp_of(directory: str) -> str:
    """Return the path of what becomes the guest's /tmp: on the same tmpfs as what it writes to its root."""
    return f"{directory}/tmp"


def devices_of(directory: str) -> str:
    """Return the directory of its device nodes."""
    return f"{directory}/dev"


def bind_of(directory: str, number: int) -> str:
    """Where a bind is then."""
    return f"{directory}/bind-{number}"


def make(namespace: int, plan: Plan) -> None:
    """Mount it, in the mount namespace behind a descriptor. Raises OSError."""
    kernel.in_mounts_of(namespace, lambda: _make(plan))


def _make(plan: Plan) -> None:
    # nspawn leaves its propagation directory behind where this is not a tmpfs.
    os.makedirs("/run/systemd/nspawn", exist_ok=True)
    kernel.mount_new("tmpfs", "/run/systemd/nspawn", "tmpfs", "mode=0755")
    options = f",size={plan.size}" if plan.size else ""
    plan.state.mount(plan.directory, f"mode=0755{options}")
    tmp = tmp_of(plan.directory)
    os.mkdir(tmp)
    os.chmod(tmp, 0o1777)
    os.chown(tmp, plan.root_uid, plan.root_uid)
    if plan.nodes:
        own = devices_of(plan.directory)
        _make_directory(own)
        # Where the guest's root is the host's, they would be more than nspawn gives.
        devices.make(own, plan.nodes, plan.root_uid, usable=plan.root_uid != 0 or plan.devices)
    image = f"{plan.directory}/image"
    _make_directory(image)
    kernel.attach_mount(plan.image, image)
    if not plan.devices:
        kernel.without_devices(image)
    if plan.layer is not None:
        _make_directory(f"{plan.directory}/layer")
        kernel.attach_mount(plan.layer, f"{plan.directory}/layer")
        if not plan.devices:
            kernel.without_devices(f"{plan.directory}/layer")
    if plan.ephemeral:
        _overlay(plan, image)
    for number, bind in enumerate(plan.binds):
        target = bind_of(plan.directory, number)
        if stat.S_ISDIR(os.fstat(bind).st_mode):
            _make_directory(target)
        else:
            os.close(os.open(target, os.O_CREAT, 0o600))
        kernel.attach_mount(bind, target)
    if plan.cgroup is not None:  # last, as it can be attached once, and an overlay may be tried again
        kernel.attach_mount(plan.cgroup, "/sys/fs/cgroup")


def _make_directory(path: str) -> None:
    with suppress(FileExistsError):  # since an earlier boot
        os.mkdir(path, 0o755)


def _overlay(plan: Plan, lower: str) -> None:
    root = root_of(plan.directory, ephemeral=True)
    _make_directory(root)
    os.chdir(plan.directory)  # of this thread: the names of many layers are too long to be absolute
    layer, *below = plan.state.layers
    if not os.path.exists(layer):
        os.mkdir(layer)
        os.mkdir(f"{layer}/work")
        if below:
            _make_upper(f"{layer}/upper", f"{below[0]}/upper")
        else:
            _make_first_upper(plan, f"{layer}/upper", lower)
    given = ["image"] if plan.layer is None else ["layer", "image"]
    lowers = ":".join([*(f"{one}/upper" for one in below), *given])
    # The same on each kernel, whatever it is built with: so the upper directory tells by itself what was written, and
    # can be mounted again before the kernel is quite done with the mount of the boot before.
    options = "index=off,redirect_dir=off,metacopy=off"
    options += f",lowerdir={lowers},upperdir={layer}/upper,workdir={layer}/work"
    kernel.mount_new("overlay", root, "overlay", options, devices=plan.devices)


def _make_upper(upper: str, below: str) -> None:
    """Make the directory of a layer: as / was in the layer below it."""
    status = os.stat(below)
    os.mkdir(upper)
    os.chown(upper, status.st_uid, status.st_gid)
    os.chmod(upper, stat.S_IMODE(status.st_mode))


def _make_first_upper(plan: Plan, upper: str, lower: str) -> None:
    made = [upper, f"{upper}/etc"]  # the guest's / and /etc are made here
    if not os.path.lexists(f"{lower}/usr"):
        made.append(f"{upper}/usr")  # without which nspawn starts nothing
    for path in made:
        os.mkdir(path, 0o755)
    for name, text in files(plan.name, lower, plan.resolv_conf):
        path = f"{upper}/etc/{name}"
        with open(path, "w") as file:
            file.write(text)
        made.append(path)
    for path in made:
        os.chown(path, plan.root_uid, plan.root_uid)


def files(name: str, lower: str, resolv_conf: str) -> list[tuple[str, str]]:
    """Return what a machine has in /etc of its own, by file name, over an image at `lower`."""
    # The guest knows itself by name, without asking a name server; these replace the image's.
    found = [("hosts", _HOSTS.format(name=name)), ("hostname", f"{name}\n")]
    # Each installed Debian has it; a minimal image lacks tzdata, which makes it.
    if os.path.lexists(f"{lower}/etc/debian_version") and not os.path.lexists(f"{lower}/etc/timezone"):
        found.append(("timezone", "Etc/UTC\n"))
    if resolv_conf:
        found.append(("resolv.conf", resolv_conf))
    return found
