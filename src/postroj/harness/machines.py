"""The machine of a probe: a container, or a virtual machine, that is started for it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from postroj.container import Bind, Container
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, HostError, MachineLostError
from postroj.events import Debug, emit

if TYPE_CHECKING:
    from postroj.cache import Given, Wanted
    from postroj.harness.attendant import AnyMachine
    from postroj.image.vmimage import VmImage
    from postroj.vm.guests import AnyVm


def binds(files: "Sequence[tuple[str, str]]") -> list[Bind]:
    """Return files of the host, each with its path in the guest, as a container takes them."""
    return [Bind(source, target) for source, target in files]


@contextmanager
def booted(
    container: "Callable[..., Container]", wanted: "Wanted | None", deadline: Deadline
) -> "Iterator[tuple[AnyMachine, Given | None]]":
    """A container, and what the package cache has given to it.

    The repositories are asked while it boots. If they have changed, what was given is out of date, and it boots again.
    """
    if wanted is None:
        with container() as machine:
            yield machine, None
        return
    from postroj.harness import supply

    for at_once in (True, False):
        with supply.given(wanted, deadline=deadline, at_once=at_once) as given, container(layer=given.root) as machine:
            if given.is_current():
                yield machine, given
                return


@contextmanager
def vm(
    image: "VmImage",
    files: "Sequence[tuple[str, str]]",
    wait: bool,
    wanted: "Wanted | None",
    deadline: Deadline,
    *,
    offline: bool = False,
) -> "Iterator[tuple[AnyMachine, Given | None]]":
    """A VM with files of the host, and what the package cache has given to it; with `wait`, that of another run.

    It has the repositories of the image that it was made of, but more packages: what the cache knows of an installation
    in the image is of no use, and the guest resolves it by itself.
    """
    from postroj.vm import warm

    box = image.made(deadline, offline=offline)
    with warm.taken(box, files=files, wait=wait, offline=offline, deadline=deadline) as machine:
        if wanted is None:
            yield machine, None
            return
        from postroj.harness import supply

        with supply.given(wanted, deadline=deadline) as given:
            yield machine, given._replace(answers=()) if _has_taken(machine, given, deadline) else None


def _has_taken(machine: "AnyVm", given: "Given", deadline: Deadline) -> bool:
    """Have a VM take what the package cache gives; return False, and have it as it was, on a full disk."""
    from postroj.harness import supply

    try:
        if given.root:
            machine.give(given.root, without=supply.OF_IMAGE)
    except (MachineLostError, DeadlineError):
        raise
    except HostError as error:
        emit(Debug(f"the package cache is not used: {error}"))
        machine.restore(0, deadline=deadline)
        return False
    return True
