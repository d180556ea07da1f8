"""The live line."""

from io import StringIO

import pytest
from rich.console import Console

from postroj.cli.live import Live
from postroj.events import Event, Output, Phase, Step, Transfer, Warn


@pytest.mark.parametrize(
    "event",
    [
        Warn("\x1b]0;title\x07[red]"),
        Step("\x1b[2J", "\x1b[2J"),
        Phase("x", "unpack", "\x1b[2J"),
        Output("x", "\x1b[2J"),
    ],
)
def test_nothing_that_a_guest_says_reaches_the_terminal(event: Event) -> None:
    shown = StringIO()
    console = Console(file=shown, force_terminal=True, width=200)
    with console.status("") as status:
        live = Live(status)
        live.event(event)
        live.event(Transfer("x", 1, 0))
        status._live.refresh()
    assert "\x1b]0;" not in shown.getvalue() and "\x1b[2J" not in shown.getvalue()
