"""What happens, as typed events for whoever shows them. The library emits; `cli/` listens and prints."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Event:
    """Root of all events."""

    __slots__ = ("machine",)

    machine: str
    """The name of the machine that it is about, empty if it is about none; set by `emit`."""


class Debug(Event):
    """A detail for `-vv`: a command line, a state change."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class Step(Event):
    """Something begins that takes time; `subject` is what it is about (an image, a machine, a package)."""

    __slots__ = ("subject", "text")

    def __init__(self, subject: str, text: str) -> None:
        self.subject = subject
        self.text = text


class Phase(Step):
    """A step that is one of the phases of a pull: download, unpack, provision, settle."""

    __slots__ = ("phase",)

    def __init__(self, subject: str, phase: str, text: str) -> None:
        super().__init__(subject, text)
        self.phase = phase


class Output(Event):
    """A line that a program printed on the way."""

    __slots__ = ("line", "subject")

    def __init__(self, subject: str, line: str) -> None:
        self.subject = subject
        self.line = line


class Transfer(Event):
    """Bytes of a download so far; `total` is 0 where the server did not say."""

    __slots__ = ("done", "subject", "total")

    def __init__(self, subject: str, done: int, total: int) -> None:
        self.subject = subject
        self.done = done
        self.total = total


class Warn(Event):
    """Something that works, but not as it should; always shown."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


Listener = Callable[[Event], None]
_listeners: list[Listener] = []
_machine: ContextVar[str] = ContextVar("machine", default="")
_warned: ContextVar[set[str] | None] = ContextVar("warned", default=None)


def emit(event: Event, *, machine: str = "") -> None:
    """Tell all listeners. A thread that was started for a machine has to name it; see `about`."""
    if isinstance(event, Warn) and (warned := _warned.get()) is not None:
        if event.text in warned:
            return
        warned.add(event.text)
    event.machine = machine or _machine.get()
    for listener in tuple(_listeners):
        listener(event)


@contextmanager
def about(machine: str) -> Iterator[None]:
    """Let the events that this thread emits inside the block be about a machine, by its name."""
    before = _machine.get()
    _machine.set(machine)
    try:
        yield
    finally:
        _machine.set(before)


@contextmanager
def warned_once(warned: set[str]) -> Iterator[None]:
    """Let no warning come twice of what this thread does inside blocks with the same set, which has their texts."""
    before = _warned.get()
    _warned.set(warned)
    try:
        yield
    finally:
        _warned.set(before)


@contextmanager
def subscribed(listener: Listener) -> Iterator[None]:
    """Have `listener` told of all events inside the block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
