"""Where things are. Each path can be moved by an environment variable; the defaults follow the FHS."""

import os
import sys


def state_dir() -> str:
    """Images and what belongs to them; POSTROJ_STATE_DIR, default /var/lib/postroj. Must not lie on an overlayfs.

    On hosts without Linux there are only virtual machines in it, which need no root: it is the user's own there.
    """
    if sys.platform != "linux":
        return _directory("POSTROJ_STATE_DIR", os.path.expanduser("~/.local/state/postroj"))
    return _directory("POSTROJ_STATE_DIR", "/var/lib/postroj")


def images_dir() -> str:
    """The activated images, one link each; POSTROJ_IMAGES_DIR, default `images` in the state directory."""
    return _directory("POSTROJ_IMAGES_DIR", os.path.join(state_dir(), "images"))


def downloads_dir() -> str:
    """Packages fetched by URL; POSTROJ_DOWNLOADS_DIR, default /var/cache/postroj/downloads."""
    return _directory("POSTROJ_DOWNLOADS_DIR", "/var/cache/postroj/downloads")


def vms_dir() -> str:
    """VMs that are kept for the next run, and Vagrant's own files of them: `vms` in the state directory."""
    return os.path.join(state_dir(), "vms")


PACKAGE_CACHE_SIZE = 2 << 30
"""The bytes that the package cache may have, by default."""

RUNTIME_DIR = "/run/postroj"
"""What belongs to running machines. Not to be moved: the locks in it are what tells a living machine from debris."""


def _directory(variable: str, default: str) -> str:
    return os.path.abspath(os.environ.get(variable) or default)
