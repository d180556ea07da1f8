"""Deadlines, events, settings and errors: what all else stands on."""

import os
import threading
from pathlib import Path

import pytest

from postroj import errors, events, settings
from postroj.deadline import NEVER, Deadline


def test_never_is_never() -> None:
    assert (NEVER.seconds, NEVER.remaining(), NEVER.expired()) == (None, None, False)


@pytest.mark.parametrize("seconds", [0, 0.0, -1, -1e9])
def test_no_time_has_passed_at_once(seconds: float) -> None:
    deadline = Deadline(seconds)
    assert (deadline.remaining(), deadline.expired()) == (0.0, True)


def test_time_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    deadline = Deadline(10)
    assert (deadline.seconds, deadline.remaining(), deadline.expired()) == (10, 10.0, False)
    now = 1009.0
    assert (deadline.seconds, deadline.remaining(), deadline.expired()) == (10, 1.0, False)
    now = 1010.0
    assert (deadline.remaining(), deadline.expired()) == (0.0, True)


def test_the_sooner_of_two() -> None:
    deadline = Deadline(100)
    assert deadline.sooner(1000) is deadline
    assert deadline.sooner(10).seconds == 10
    assert deadline.sooner(0).expired()
    assert NEVER.sooner(5).seconds == 5
    assert Deadline(0).sooner(5).expired()


def test_listeners_are_told_inside_their_block_only() -> None:
    told: list[str] = []

    def listener(name: str) -> events.Listener:
        return lambda event: told.append(f"{name} {event.text}" if isinstance(event, events.Debug) else "?")

    events.emit(events.Debug("before"))
    with events.subscribed(listener("a")):
        events.emit(events.Debug("one"))
        with events.subscribed(listener("b")):
            events.emit(events.Debug("two"))
        events.emit(events.Debug("three"))
    events.emit(events.Debug("after"))
    assert told == ["a one", "a two", "b two", "a three"]


def test_an_event_names_the_machine_that_it_is_about() -> None:
    told: list[tuple[str, str]] = []

    def listen(event: events.Event) -> None:
        assert isinstance(event, events.Debug)
        told.append((event.text, event.machine))

    with events.subscribed(listen):
        with events.about("one"):
            events.emit(events.Debug("outer"))
            with events.about("two"):
                events.emit(events.Debug("inner"))
            thread = threading.Thread(target=lambda: events.emit(events.Debug("other thread")))
            thread.start()
            thread.join()
            events.emit(events.Debug("outer again"))
            events.emit(events.Debug("named"), machine="three")
        events.emit(events.Debug("none"))
    assert told == [
        *[("outer", "one"), ("inner", "two"), ("other thread", ""), ("outer again", "one"), ("named", "three")],
        ("none", ""),
    ]


def test_a_listener_goes_with_an_error() -> None:
    told: list[events.Event] = []
    with pytest.raises(ValueError), events.subscribed(told.append):
        raise ValueError
    events.emit(events.Warn("x"))
    assert told == []


@pytest.mark.parametrize(
    "event",
    [events.Debug("t"), events.Step("s", "t"), events.Output("s", "l"), events.Transfer("s", 1, 2), events.Warn("t")],
)
def test_events_are_small(event: events.Event) -> None:
    assert not hasattr(event, "__dict__")


def test_defaults_follow_the_fhs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSTROJ_STATE_DIR")
    monkeypatch.setenv("POSTROJ_DOWNLOADS_DIR", "")
    assert settings.state_dir() == "/var/lib/postroj"
    assert settings.images_dir() == "/var/lib/postroj/images"
    assert settings.downloads_dir() == "/var/cache/postroj/downloads"


def test_places_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POSTROJ_STATE_DIR", "a/../b")
    assert settings.state_dir() == os.path.join(tmp_path.resolve(), "b")
    assert settings.images_dir() == os.path.join(tmp_path.resolve(), "b/images")
    monkeypatch.setenv("POSTROJ_IMAGES_DIR", "/elsewhere/")
    assert settings.images_dir() == "/elsewhere"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InstallError, 1), (errors.UsageError, 2), (errors.HostError, 3), (errors.ToolError, 3),
        (errors.DeadlineError, 3),
        (errors.MachineLostError, 3), (errors.MissingToolError, 3), (errors.ImageError, 3), (errors.DownloadError, 3),
        (errors.BootError, 3), (errors.GuestSetupError, 3),
    ],
)  # fmt: skip
def test_whose_fault_it_is(error: type[errors.PostrojError], status: int) -> None:
    raised = error("what", why="why", hint="hint")
    assert (raised.status, str(raised), raised.what, raised.why, raised.hint) == (status, "what", "what", "why", "hint")


def test_the_end_that_a_signal_asks_for_is_not_caught_as_an_error() -> None:
    assert not issubclass(errors.Terminated, Exception)
