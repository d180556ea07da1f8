"""Device nodes beside those that every systemd-nspawn makes: harmless to the host in a guest with users of its own.

systemd-nspawn 257 and newer has them too. What the guest does by them, mount a file system of its own or make a network
interface, it does with the rights that it has in its user namespace.
"""

import os
import stat
from contextlib import suppress

from postroj.container import kernel

NODES = {"/dev/fuse": "fuse", "/dev/net/tun": "tun"}
"""Each with the kernel module that has it."""


def there() -> dict[str, int]:
    """Return those that this host has, with their device numbers."""
    found = {}
    for path in NODES:
        with suppress(OSError):
            status = os.stat(path)
            if stat.S_ISCHR(status.st_mode):
                found[path] = status.st_rdev
    return found


def node_of(directory: str, path: str) -> str:
    """Return where a node is, once `make` has been there."""
    return f"{directory}/{path.replace('/', '-').strip('-')}"


def make(directory: str, nodes: dict[str, int], root_uid: int, *, usable: bool) -> None:
    """Make nodes in a directory: the guest root's, as the host's own may be closed to all but its root.

    Without `usable` they are there and are no devices. Raises OSError.
    """
    kernel.mount_new("tmpfs", directory, "tmpfs", "mode=0755", devices=usable)
    for path, number in nodes.items():
        node = node_of(directory, path)
        try:
            os.mknod(node, stat.S_IFCHR | 0o600, number)
        except PermissionError:  # a host that may not, such as a container
            os.close(os.open(node, os.O_CREAT | os.O_EXCL, 0o600))
            mount = kernel.clone_mount(path)
            try:
                kernel.attach_mount(mount, node)
            finally:
                os.close(mount)
            continue
        os.chown(node, root_uid, root_uid)
        os.chmod(node, 0o666)
