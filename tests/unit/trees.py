"""The least that passes for an image's tree."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from postroj.image import store
from postroj.settings import images_dir

RECORD = {
    "family": "apt",
    "source": "bootstrap:bookworm",
    "pulled": "2026-01-02T03:04:05+00:00",
    "systemd": "252",
    "architecture": "amd64",
}
NEEDED = ("usr/lib/systemd/systemd", "usr/lib/os-release", "usr/bin/dbus-daemon", "bin/sh")


def fill(tree: str) -> None:
    for needed in NEEDED:
        path = Path(tree, "root", needed)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x" * 5000)


@contextmanager
def being_made(name: str) -> Iterator[str]:
    """A tree that is activated when the block ends well."""
    os.makedirs(images_dir(), exist_ok=True)  # as store.pulling has done when an image is pulled
    with store.new_tree(name) as tree:
        fill(tree)
        yield tree
        store.activate(name, tree, dict(RECORD))


def pulled(name: str) -> str:
    """An image of this name; gives its tree."""
    with being_made(name) as tree:
        return tree
