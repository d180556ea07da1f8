"""Cells become tasks: what each runs, where its logs go, and what is carried to another host."""

import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache

from postroj.errors import HostError, UsageError
from postroj.harness.request import TOTAL_SECONDS
from postroj.image import boxes, vmimage
from postroj.matrix import room
from postroj.matrix.job import Job
from postroj.matrix.run import Task
from postroj.plan.cells import Cell, Cells
from postroj.plan.command import Lacking, command

_MOST_CARRIED = 10**9


def make(cells: Sequence[Cell], plan: Cells, *, artifacts: str = "", carry: bool = False) -> list[Task]:
    """Return the tasks of cells. Raises UsageError, DownloadError.

    `artifacts` is the directory for logs, of which each cell has a part. With `carry`, the files that a cell needs go
    with it.
    """
    read = cache(_read)  # cells that need the same file share it
    lacking = Lacking()
    made = [_task(cell, plan, artifacts, read if carry else None, lacking) for cell in cells]
    lacking.tell()
    return made


def _task(cell: Cell, plan: Cells, artifacts: str, read: Callable[[str], bytes] | None, lacking: Lacking) -> Task:
    options = plan.options(cell)
    baggage = _Baggage(read) if read else None
    words = command(cell, options, lacking, baggage.place) if baggage else command(cell, options, lacking)
    words.append("--report=json")
    seconds = options["timeout"].value if "timeout" in options else TOTAL_SECONDS
    job = Job(cell.name, words, seconds)
    if baggage:
        job = job._replace(files=baggage.files, directory=os.getcwd(), marker=baggage.marker)
    is_vm = cell.image.is_vm or any(key in options and options[key].value for key in ("vm", "provider"))
    return Task(cell, job, plan.allowed(cell), directory(cell, artifacts) if artifacts else "", is_vm)


def on_this_host(tasks: Sequence[Task], plan: Cells) -> list[Task]:
    """Return tasks with what this host lacks to run them: it is asked once whether it can have a virtual machine.

    Raises UsageError for an image, or a provider of it, that there is no box for.
    """
    ask = cache(_asked)

    def of(task: Task) -> Task:
        needs_image, lacking = ask(task.cell.image.reference, *_provider(task, plan))
        return task._replace(needs_image=needs_image, lacking=lacking)

    return [of(task) if task.is_vm else task for task in tasks]


def check_vms(tasks: Sequence[Task], plan: Cells) -> None:
    """Raise UsageError for an image, or a provider of it, that there is no box for; the host does not matter."""
    for image, provider, where in {(task.cell.image.reference, *_provider(task, plan)) for task in tasks if task.is_vm}:
        with suppress(HostError):
            _find(image, provider, where)


def _provider(task: Task, plan: Cells) -> tuple[str, str]:
    """Return the provider of a task, empty for none in particular, and where it was set."""
    options = plan.options(task.cell)
    value = options.get("provider")
    return (value.value, f"{value.origins[-1]}: provider: ") if value else ("", "")


def _find(image: str, provider: str, where: str) -> vmimage.VmImage:
    try:
        found = vmimage.find(image, vm=True, provider=provider)
    except UsageError as error:
        raise UsageError(f"{where}{error.what}", hint=error.hint) from error
    assert found  # with `vm` it is one
    return found


def _asked(image: str, provider: str, where: str) -> tuple[bool, str]:
    """Return whether the image of a container is needed for a virtual machine, and what this host lacks for it."""
    needs_image = False
    try:
        found = _find(image, provider, where)
        needs_image = found.box is None
        found.check_host()
    except HostError as error:
        return needs_image, "\n".join(filter(None, (error.what, error.why, error.hint)))
    return needs_image, ""


def memory(tasks: Sequence[Task]) -> int:
    """Return the bytes of memory that each of some cells takes, by the largest of them."""
    return max((_memory(task) for task in tasks), default=room.CONTAINER)


def _memory(task: Task) -> int:
    if not task.is_vm:
        return room.CONTAINER
    entry = boxes.find(task.cell.image.name)
    return (entry.memory if entry else vmimage.MEMORY) << 20


def directory(cell: Cell, artifacts: str) -> str:
    """Return the directory for the logs of a cell: its name, with slashes for colons, which CI takes for no name."""
    return os.path.join(artifacts, *cell.name.split(":"))


class _Baggage:
    """Files that are carried to where a cell runs."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self.marker = f"files-of-{secrets.token_hex(8)}"
        self.files: dict[str, bytes] = {}
        self._read = read

    def place(self, path: str) -> str:
        """Take a file along, and return its path where the cell runs."""
        absolute = os.path.abspath(path)
        self.files[absolute] = self._read(absolute)
        return self.marker + path if os.path.isabs(path) else path


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_CARRIED + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > _MOST_CARRIED:
        raise UsageError(f"{path} is too large to be sent to other hosts: the limit is 1 GB")
    return data
