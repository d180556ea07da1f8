"""The way to the guest's system bus from the host: a socket in the guest's own file system, no machined needed."""

from postroj.container.guest.guestfs import connect_as, open_beneath
from postroj.systemd.bus import Bus, lost

_SECONDS = 10.0


def connect(guest_root: int, root_uid: int) -> Bus:
    """Connect to the bus of the guest with this root directory, a descriptor. Raises MachineLostError, OSError.

    `root_uid` is what the guest's root is outside: the bus takes nobody else for its root.
    """
    with lost(), open_beneath(guest_root, "run/dbus/system_bus_socket") as fd:
        return Bus(connect_as(root_uid, f"/proc/self/fd/{fd}", _SECONDS))
