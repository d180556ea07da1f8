"""Files copied between a VM and the host, as tar archives."""

import os
import shutil
import sys
from typing import IO

from postroj.container import copying
from postroj.vm.attached import Attached


def out(vm: Attached, path: str, where: str) -> None:
    """Copy a file or a directory of a VM to the host; `-` is an archive on standard output. Raises HostError."""

    def take(archive: IO[bytes], is_directory: bool) -> None:
        if where == "-":
            shutil.copyfileobj(archive, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            copying.take(archive, path, where, is_directory=is_directory)

    vm.pack(path, take)


def into(vm: Attached, path: str, where: str) -> None:
    """Copy a file or a directory of the host to a VM; `-` is an archive on standard input. Raises HostError."""
    if path == "-":
        vm.unpack(where, lambda inlet: shutil.copyfileobj(sys.stdin.buffer, inlet))
        return
    is_directory = os.path.isdir(path)
    if vm.is_inside(where, is_directory=is_directory):
        vm.unpack(where, lambda inlet: copying.give(path, inlet, None))
        return
    above, name = os.path.split(where.rstrip("/"))
    vm.unpack(above or "/", lambda inlet: copying.give(path, inlet, (name,)))
