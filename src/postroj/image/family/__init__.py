"""The families of distributions, by their package manager: one file each, imported on use."""

import importlib
import os
from typing import NamedTuple

NAMES = ("apt", "dnf", "microdnf", "yum", "zypper", "pacman", "apk")


class Family(NamedTuple):
    """What is to be known to make a pulled tree bootable. All scripts are for `sh` in the tree, as its root."""

    tools: tuple[str, ...]
    """Where its package manager may be in a tree."""
    install: str
    """Brings systemd, D-Bus and what a boot needs besides; empty where the family has no systemd."""
    clean: str
    """Removes what an image for containers brings that a system does not have."""
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
