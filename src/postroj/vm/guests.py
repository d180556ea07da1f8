"""The machine that a VM is, by the system of its guest and by how it is reached."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from postroj.deadline import Deadline
from postroj.vm.machine import Power, VirtualMachine
from postroj.vm.records import Ready
from postroj.vm.ssh import Login
from postroj.vm.vagrant import Project

AnyVm = VirtualMachine


def opened(
    project: Project, ready: Ready, power: Power, files: Sequence[tuple[str, str]], deadline: Deadline
) -> AbstractContextManager[AnyVm]:
    """A VM that runs, as a machine."""
    login = Login(ready.address, ready.port, project.key, project.known_hosts, project.sockets, ready.user)
    return VirtualMachine(project.name, login, power, brought=files, deadline=deadline)
