"""The one live line of work that takes long, on a terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from postroj import events
from postroj.cli.show import Show
from postroj.report import printable

if TYPE_CHECKING:
    from rich.status import Status


class Live:
    """Turns events into one line that is drawn again and again."""

    def __init__(self, status: "Status") -> None:
        from rich.markup import escape

        self._escape = escape
        self._status = status
        self._step = ""
        self._first: tuple[float, int] | None = None

    def event(self, event: events.Event) -> None:
        """Show an event."""
        if isinstance(event, events.Warn):
            self._status.console.print(f"[yellow]warning:[/] {self._escape(printable(event.text))}")
        elif isinstance(event, events.Step):
            phase = f"{event.phase}, " if isinstance(event, events.Phase) else ""
            self._step = printable(f"{phase}{event.subject}: {event.text}")
            self._first = None
            self._status.update(self._escape(self._step))
        elif isinstance(event, events.Output):
            self._status.update(f"{self._escape(self._step)} [dim]{self._escape(printable(event.line[:60]))}[/]")
        elif isinstance(event, events.Transfer):
            of = f" of {event.total / 1e6:.1f}" if event.total else ""
            self._status.update(
                f"{self._escape(self._step)} [dim]{event.done / 1e6:.1f}{of} MB{self._rate(event.done)}[/]"
            )

    def _rate(self, done: int) -> str:
        """Return the bytes a second since the first that were seen of this step; empty at its beginning."""
        now = time.monotonic()
        if self._first is None:
            self._first = (now, done)
        seconds, before = now - self._first[0], self._first[1]
        return f", {(done - before) / seconds / 1e6:.1f} MB/s" if seconds > 1 else ""


@contextmanager
def live(show: Show) -> Iterator[None]:
    """Show events on a live line inside the block, where standard error is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # 40 ms, for terminals only

    with Console(stderr=True).status("") as status:
        show.live = Live(status).event
        try:
            yield
        finally:
            show.live = None
