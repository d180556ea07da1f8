"""The machine that a VM is, by the system of its guest and by how it is reached."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from postroj.deadline import Deadline
from postroj.vm.box import FREEBSD, OPENBSD, WINDOWS, WINRM
from postroj.vm.machine import Power, VirtualMachine
from postroj.vm.records import Ready
from postroj.vm.ssh import Connection, Login
from postroj.vm.vagrant import Project

if TYPE_CHECKING:
    from postroj.vm.windows.machine import WindowsMachine
    from postroj.vm.windows.shell import Shell

    AnyVm = VirtualMachine | WindowsMachine


def opened(
    project: Project, ready: Ready, power: Power, files: Sequence[tuple[str, str]], deadline: Deadline
) -> "AbstractContextManager[AnyVm]":
    """A VM that runs, as a machine."""
    login = Login(ready.address, ready.port, project.key, project.known_hosts, project.sockets, ready.user)
    if ready.guest == WINDOWS:
        from postroj.vm.windows.machine import WindowsMachine  # no other guest needs it

        return WindowsMachine(
            project.name, lambda until: _shell(ready, login, until), power, brought=files, deadline=deadline
        )
    if ready.guest in (FREEBSD, OPENBSD):
        from postroj.vm.bsd.machine import BsdMachine

        return BsdMachine(project.name, login, power, brought=files, deadline=deadline)
    return VirtualMachine(project.name, login, power, brought=files, deadline=deadline)


def _shell(ready: Ready, login: Login, deadline: Deadline) -> "Shell":
    if ready.by == WINRM:
        from postroj.vm.windows.winrm import Session, WinrmShell, endpoint

        address = endpoint(ready.address, ready.port)
        return WinrmShell(Session(address, ready.user, ready.password, deadline=deadline).__enter__())
    from postroj.vm.windows.shell import SshShell

    return SshShell(Connection(login, deadline=deadline))
