"""Two machines in one process: each event says which of them it is about."""

import threading

import pytest

from postroj import events, image
from postroj.container import Container
from postroj.deadline import Deadline

pytestmark = pytest.mark.once


def _boot(bookworm: str, name: str) -> None:
    with (
        image.open_image(bookworm) as one,
        Container(one.root, name, exact_name=True, deadline=Deadline(60)) as machine,
    ):
        machine.command(["hostname"], deadline=Deadline(60))


def test_each_event_is_about_one_machine(bookworm: str) -> None:
    told: list[events.Event] = []
    names = ("one", "two")
    with events.subscribed(told.append):
        threads = [threading.Thread(target=_boot, args=(bookworm, name)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for name in names:
        mine = [event for event in told if event.machine == name]
        assert [event.line for event in mine if isinstance(event, events.Output)] == [name]
        texts = [event.text for event in mine if isinstance(event, events.Debug)]
        assert texts[0].startswith(f"{name} boots from") and f"{name}$ hostname" in texts and "tearing down" in texts
        assert any("nsenter" in text for text in texts)  # of a host program, which does not know the machine
    assert {event.machine for event in told} == set(names)
