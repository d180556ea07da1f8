"""The least that passes for an image's tree."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from postroj.image import store
from postroj.settings import images_dir

RECORD = {
    "reference": "bootstrap:bookworm",
    "digest": "",
    "family": "apt",
    "package_manager": "apt 2.6.1",
    "architecture": "amd64",
    "systemd": "252",
    "pulled": "2026-01-02T03:04:05+00:00",
    "stamp": "",
    "platform": "",
}
NEEDED = ("usr/lib/systemd/systemd", "usr/lib/os-release", "usr/bin/dbus-daemon", "bin/sh")


def fill(tree: str) -> None:
    """Files that no other tree has, so that it gets a digest of its own."""
    for needed in NEEDED:
        path = Path(tree, "root", needed)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{tree}\n".ljust(5000, "x"))


@contextmanager
def being_made(name: str, *, platform: str = "", **record: str) -> Iterator[str]:
    """A tree that is activated when the block ends well."""
    os.makedirs(images_dir(), exist_ok=True)  # as store.pulling has done when an image is pulled
    with store.new_tree(name) as tree:
        fill(tree)
        yield tree
        store.activate(name, tree, {**RECORD, "platform": platform, **record})


def pulled(name: str, *, platform: str = "", **record: str) -> str:
    """An image of this name; gives its tree."""
    with being_made(name, platform=platform, **record):
        pass
    return tree_of(name)


def tree_of(name: str) -> str:
    """The tree that is the image of this name now."""
    return os.path.dirname(os.path.realpath(os.path.join(images_dir(), name)))
