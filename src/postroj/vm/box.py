"""What a VM is made of: a box of Vagrant, and what is known of the guest in it."""

from typing import NamedTuple

LINUX, WINDOWS, FREEBSD, OPENBSD = "linux", "windows", "freebsd", "openbsd"
SSH, WINSSH, WINRM = "ssh", "winssh", "winrm"
LIBVIRT = "libvirt"
"""The one provider whose VMs are looked after by its own commands: see `domains`. Those of others by Vagrant's."""


class Box(NamedTuple):
    """A box, for one provider."""

    image: str
    """What the VM is called after: `windows-2022`."""
    name: str
    """What Vagrant calls the box; with a Vagrantfile of the user's, that names it."""
    provider: str
    file: str = ""
    """The .box file that it comes from; empty for one of a registry."""
    version: str = ""
    """The version that is asked for; empty for the newest."""
    directory: str = ""
    """A directory of the user's with a Vagrantfile, which is copied."""
    stamp: str = ""
    """What the file or the directory looks like: another one makes another VM."""
    guest: str = ""
    """Its operating system; empty if that is learnt from the box."""
    communicator: str = ""
    """How it is spoken to: SSH, WINSSH or WINRM; empty if that is learnt from the box."""
    memory: int = 0
    """In MiB; 0 for what the box has."""
    cores: int = 0
    """0 for what the box has."""

    @property
    def place(self) -> str:
        """The name by which boxes are kept; with a Vagrantfile of the user's one that only its VMs have."""
        return self.name or self.image

    @property
    def identity(self) -> str:
        """What a VM is kept for: it is made anew for a box with another one."""
        return " ".join(map(str, (self.name, self.version, self.provider, self.stamp, self.memory, self.cores)))
