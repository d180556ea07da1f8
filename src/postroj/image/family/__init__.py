"""The families of distributions, by their package manager: one file each, imported on use."""

import importlib
import os
from typing import NamedTuple

NAMES = ("apt", "dnf", "microdnf", "yum", "zypper", "pacman", "apk")


class Family(NamedTuple):
    """What is to be known to make a pulled tree bootable. All scripts are for `sh` in the tree, as its root.

    Each is run by a shell of its own and fails with its status; each can be run again.
    """

    tools: tuple[str, ...]
    """Where its package manager may be in a tree."""
    install: str
    """Brings systemd, D-Bus and what a boot needs besides, where they lack; empty where the family has no systemd."""
    clean: str
    """Removes what an image for containers brings that a system does not have, and brings what that image lacks to
    install packages. Runs before `install`."""
    architecture: str
    """Prints the architecture, as packages of this family have it."""
    version: str
    """Prints the package manager and its version."""

    @property
    def facts(self) -> str:
        """Prints both, as `key=value`."""
        return f'echo "architecture=$({self.architecture})"\necho "package_manager=$({self.version})"\n'


def load(name: str) -> Family:
    """The family of this name."""
    family: Family = importlib.import_module(f"postroj.image.family.{name}").FAMILY
    return family


def detect(root: str) -> str | None:
    """The family of a tree, by the package manager that it has; None where there is none."""
    for name in NAMES:
        if any(os.path.lexists(os.path.join(root, tool)) for tool in load(name).tools):
            return name
    return None


# Asked of files, not of a package database: distributions cut these packages differently (util-linux-core,
# dbus-broker, systemd-sysvinit), and most package managers upgrade what they are told to install.
_LACKING = """\
set -e
is_there() {{
    for path; do [ ! -e "$path" ] || return 0; done
    return 1
}}
set --
is_there /usr/lib/systemd/systemd /lib/systemd/systemd || set -- "$@" {systemd}
{{ is_there /usr/lib/systemd/system/dbus.socket /lib/systemd/system/dbus.socket &&
    is_there /usr/bin/dbus-daemon /usr/bin/dbus-broker-launch; }} || set -- "$@" {bus}
is_there /usr/bin/mount /bin/mount || set -- "$@" {mount}
if [ $# -gt 0 ]; then
{command}
fi
"""


def installing(command: str, *, systemd: str, bus: str = "dbus", mount: str = "util-linux") -> str:
    """The script `install`: the command is run with the packages in "$@" that lack, unless none lacks."""
    return _LACKING.format(command=command.strip("\n"), systemd=systemd, bus=bus, mount=mount)
