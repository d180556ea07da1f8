"""A state directory of a test's own, on the disk that the images lie on."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support import STATE


@contextmanager
def scratch_state(*images: str) -> Iterator[Path]:
    """An empty state directory, or one with copies of images; hard links, so what is in a file must not be changed."""
    os.makedirs(STATE, exist_ok=True)
    state = Path(tempfile.mkdtemp(prefix="scratch-", dir=STATE))
    try:
        (state / "images/.trees").mkdir(parents=True)
        for name in images:
            link = Path(STATE, "images", name)
            tree = (Path(STATE, "images") / link.readlink()).parent
            subprocess.run(["cp", "--archive", "--link", tree, state / "images/.trees"], check=True)
            (state / "images" / name).symlink_to(link.readlink())
        yield state
    finally:
        shutil.rmtree(state)
