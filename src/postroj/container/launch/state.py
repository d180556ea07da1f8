"""What a machine has written: a tmpfs that outlives the mount namespaces in which the machine's boots have it mounted.

Between two boots it is held by a descriptor alone, so it ends with this process, however that ends.

    layer-0/upper, layer-0/work    what was written over the image; with snapshots layer-1 over layer-0, and so on
    tmp                            the guest's /tmp

The guest sees what is in these directories, and not the directories themselves: their names are trusted.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from postroj import process
from postroj.container import kernel
from postroj.errors import HostError

_TMP = "tmp"
_MOST_LAYERS = 100
"""overlayfs takes 500 of them; their names have to fit into a page: mount(2)."""
_REMOVE_SECONDS = 600.0


class State:
    """The state of a machine. It is in memory from the first boot on, until `close`."""

    def __init__(self) -> None:
        self._mount: int | None = None
        self._layers = 1
        self._is_closed = False
        self.is_mapped: bool | None = None
        """Whether owners in it are the guest's own users; None before the first boot."""

    @property
    def layers(self) -> list[str]:
        """The directories of its layers, the one that is written to first."""
        return [f"layer-{number}" for number in reversed(range(self._layers))]

    @property
    def snapshots(self) -> int:
        """How many snapshots it has."""
        return self._layers - 1

    def mount(self, directory: str, options: str) -> None:
        """Mount it, in the mount namespace of this thread; at the first boot it is made. Raises OSError."""
        if self._mount is None:
            kernel.mount_new("tmpfs", directory, "tmpfs", options)
        else:
            kernel.attach_mount(self._mount, directory)
            os.close(self._mount)
            self._mount = None
        # What is attached goes with its namespace; a copy of it, seen by nobody, does not.
        kept = kernel.clone_mount(directory)
        if self._is_closed:  # an interrupt has ended the machine meanwhile
            os.close(kept)
        else:
            self._mount = kept

    def begin_anew(self) -> None:
        """Forget what could not be booted from: the first boot may be tried again."""
        self._close()

    def empty_tmp(self) -> None:
        """Remove what is in /tmp: it does not outlive a boot. Raises HostError."""
        self._remove(_TMP)

    def add_layer(self) -> None:
        """Have the next boot write to a new layer, over those that there are. Raises HostError."""
        if self._layers == _MOST_LAYERS:
            raise HostError(f"a machine can have {_MOST_LAYERS - 1} snapshots, and this one has")
        self._layers += 1

    def restore(self, snapshot: int) -> None:
        """Forget all that was written since a snapshot, by its number; 0 is the image. Raises HostError."""
        self._remove(*self.layers[: self._layers - snapshot])
        self._layers = snapshot + 1

    @contextmanager
    def opened(self) -> Iterator[list[int]]:
        """Descriptors of what is written in the layers, the newest first, inside the block. Raises OSError."""
        opened: list[int] = []
        try:
            for layer in self.layers:
                with suppress(FileNotFoundError):  # it was not booted yet
                    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
                    opened.append(os.open(f"{layer}/upper", flags, dir_fd=self._mount))
            yield opened
        finally:
            for fd in opened:
                os.close(fd)

    def close(self) -> None:
        """Let it go; the last boot may still have it mounted."""
        self._is_closed = True
        self._close()

    def _close(self) -> None:
        if self._mount is not None:
            os.close(self._mount)
            self._mount = None

    def _remove(self, *names: str) -> None:
        """Remove directories, with all that a guest has made in them: rm(1) knows how deep they can be."""
        if self._mount is not None:
            paths = [f"/proc/{os.getpid()}/fd/{self._mount}/{name}" for name in names]
            process.run(["rm", "--recursive", "--force", "--", *paths], timeout=_REMOVE_SECONDS)
