"""Shelves of the package cache: when they were asked after, and seals that are not as they were written."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from postroj.cache import seal as seals
from postroj.cache import shelf
from postroj.cache.seal import Answer, Seal
from postroj.cache.shelf import Shelf
from postroj.deadline import Deadline

_SEAL: dict[str, Any] = {
    "format": seals.FORMAT, "made": 1.5, "files": {"a": [1, [2, 3], "4"]}, "indexes": {"http://x": "a"},
    "requests": {"b": ["c", "d"]},
}  # fmt: skip

_CHANGES: list[dict[str, Any]] = [
    {"format": 1}, {"format": None}, {"made": "soon"}, {"made": []}, {"files": []}, {"files": {"a": 3}},
    {"files": {"a": [1, [], "4"]}}, {"files": {"a": [float("inf"), [2, 3], "4"]}},
    {"files": {"/a": [1, [2, 3], "4"]}}, {"files": {"b/../../a": [1, [2, 3], "4"]}},
    {"indexes": {"http://x": "/b"}}, {"indexes": {"http://x": "b/../../a"}}, {"indexes": 3},
    {"requests": {"b": ["c"]}}, {"requests": {"b": 3}},
]  # fmt: skip


@pytest.fixture
def own() -> Iterator[Shelf]:
    with shelf.opened("key", deadline=Deadline(60)) as one:
        yield one


def test_when_it_was_asked_after(own: Shelf) -> None:
    assert own.asked_at() == 0.0
    own.note_asked(1000.0)
    assert own.asked_at() == 1000.0


def test_a_time_in_the_future_tells_nothing(own: Shelf) -> None:
    """The clock was wrong: lists would never be asked after again."""
    own.note_asked(time.time() + 3600)
    assert own.asked_at() == 0.0


def test_the_time_is_never_that_of_now_meanwhile(own: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process, which looks at it, would not ask."""
    own.note_asked(1000.0)
    with monkeypatch.context() as context:
        context.setattr(os, "utime", lambda *args: None)
        own.note_asked(2000.0)
    assert own.asked_at() == 1000.0


def test_a_seal_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "seal"
    path.write_text(json.dumps(_SEAL))
    seal = seals.read(str(path))
    assert seal == Seal(1.5, {"a": seals.File(1, (2, 3), "4")}, {"http://x": "a"}, {"b": Answer("c", "d")})
    seals.write(str(path), seal)
    assert seals.read(str(path)) == seal


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", "3", "\xff", "[" * 100_000, "nan"),
        *(json.dumps({**_SEAL, **changed}) for changed in _CHANGES),
    ],
)
def test_a_seal_that_was_altered(tmp_path: Path, text: str) -> None:
    path = tmp_path / "seal"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"."):
        seals.read(str(path))


def _filled(key: str, asked: float) -> tuple[Shelf, Path]:
    """Make a shelf whose layer takes 64 KiB, and that was asked after at this time."""
    with shelf.opened(key, deadline=Deadline(60)) as one, one.new_layer() as path:
        Path(path, "root", "a").write_bytes(b"a" * (1 << 16))
        one.activate(path, Seal(1.5, {}, {}, {}))
        one.note_asked(asked)
    return one, Path(path)


def test_the_oldest_shelves_are_removed_first() -> None:
    middle, old, new = (Path(_filled(str(when), when)[0].path) for when in (2000.0, 1000.0, 3000.0))
    removed = shelf.sweep(200_000)
    assert [name.split()[1] for name in removed] == [old.name]
    assert middle.exists() and new.exists()


def test_a_shelf_in_use_is_not_removed() -> None:
    used, path = _filled("used", 1000.0)
    free, _ = _filled("free", 2000.0)
    with shelf.hold(shelf.Layer(str(path), Seal(1.5, {}, {}, {}))):
        shelf.sweep(0)
        assert path.exists() and not Path(free.path).exists()
    shelf.sweep(0)
    assert not Path(used.path).exists()
