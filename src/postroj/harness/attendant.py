"""Whoever is to be there while a probe goes on: told of its moments, with the machine still running."""

from typing import TYPE_CHECKING, TypeAlias, TypeGuard

if TYPE_CHECKING:
    from postroj.container import Container
    from postroj.harness.result import Result
    from postroj.vm.guests import AnyVm
    from postroj.vm.machine import VirtualMachine

    AnyMachine: TypeAlias = Container | AnyVm
    Linux: TypeAlias = Container | VirtualMachine


def can_attend(machine: "AnyMachine") -> "TypeGuard[Linux]":
    """Return whether somebody can be there: a Linux guest can be entered and kept."""
    return machine.capabilities.systemd


class Attendant:
    """Does nothing at each moment; a subclass does."""

    machine: "Linux"
    wants_machine = False
    """Whether it has something to do with the machine."""

    def at_begin(self, machine: "Linux") -> None:
        """Be given the machine: it has booted."""
        self.machine = machine

    def after_phase(self, name: str, *, passed: bool) -> None:
        """Be told that a phase has ended; `passed` says whether nothing has failed so far."""

    def at_end(self, result: "Result") -> None:
        """Be told what all of it has come to, if the machine still runs; it is removed afterwards."""


NOBODY = Attendant()
