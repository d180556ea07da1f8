"""The machine that a VM is, by the system of its guest and by how it is reached."""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager

from postroj.deadline import Deadline
from postroj.vm.machine import Power, VirtualMachine
from postroj.vm.ssh import Login
from postroj.vm.takeover import Reached

AnyVm = VirtualMachine


def opened(
    name: str, path: str, reached: Reached, power: Power, files: Sequence[tuple[str, str]], deadline: Deadline
) -> AbstractContextManager[AnyVm]:
    """A VM that runs, as a machine; `path` is its directory."""
    key, known_hosts, sockets = (os.path.join(path, part) for part in ("key", "known_hosts", "ssh"))
    login = Login(reached.address, reached.port, key, known_hosts, sockets, reached.user)
    return VirtualMachine(name, login, power, brought=files, deadline=deadline)
