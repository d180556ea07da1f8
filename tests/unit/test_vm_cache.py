"""What a VM takes from the package cache, if it can."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from postroj.cache import Given
from postroj.deadline import NEVER, Deadline
from postroj.errors import HostError, MachineLostError
from postroj.harness import machines, supply
from postroj.vm import warm


class _Vm:
    """A VM that plays."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error
        self.did: list[str] = []

    def give(self, directory: str, *, without: object) -> None:
        self.did.append(f"give {directory}")
        if self._error:
            raise self._error

    def restore(self, snapshot: int, *, deadline: Deadline) -> None:
        self.did.append(f"restore {snapshot}")


def _taken(vm: _Vm, monkeypatch: pytest.MonkeyPatch) -> Given | None:
    @contextmanager
    def taken(*_: object, **__: object) -> Iterator[_Vm]:
        yield vm

    @contextmanager
    def given(*_: object, **__: object) -> Iterator[Given]:
        yield Given("/layer")

    monkeypatch.setattr(warm, "taken", taken)
    monkeypatch.setattr(supply, "given", given)
    image: Any = SimpleNamespace(made=lambda deadline, offline: None)
    wanted: Any = object()
    with machines.vm(image, [], False, wanted, NEVER) as (_, found):
        return found


def test_a_vm_takes_what_the_cache_has(monkeypatch: pytest.MonkeyPatch) -> None:
    vm = _Vm(None)
    assert _taken(vm, monkeypatch) == Given("/layer")
    assert vm.did == ["give /layer"]


def test_a_vm_whose_disk_is_full_goes_on_without_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has taken by then would keep its disk full, and the last file of it may not be whole."""
    vm = _Vm(HostError("files cannot be written: No space left on device"))
    assert _taken(vm, monkeypatch) is None
    assert vm.did == ["give /layer", "restore 0"]


def test_a_vm_that_is_lost_as_it_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MachineLostError):
        _taken(_Vm(MachineLostError("the machine is lost")), monkeypatch)
