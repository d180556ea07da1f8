"""Which files of an image a container has removed or replaced, by a real overlay."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from postroj.cache import take
from scratch import scratch_state

pytestmark = pytest.mark.once


@pytest.fixture
def overlay() -> Iterator[tuple[Path, int]]:
    """What is seen of it, and its upper directory; below are a/b/file, a/b/other and c."""
    with scratch_state() as state:
        for name in ("lower/a/b", "upper", "work", "merged"):
            (state / name).mkdir(parents=True)
        for name in ("a/b/file", "a/b/other", "c"):
            (state / "lower" / name).write_text("below")
        options = f"lowerdir={state}/lower,upperdir={state}/upper,workdir={state}/work,redirect_dir=off"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, state / "merged"], check=True)
        upper = os.open(state / "upper", os.O_PATH)
        try:
            yield state / "merged", upper
        finally:
            os.close(upper)
            subprocess.run(["umount", state / "merged"], check=True)


def _hidden(upper: int) -> list[str]:
    return [name for name in ("a/b/file", "a/b/other", "c") if take.is_hidden(upper, name)]


def test_nothing(overlay: tuple[Path, int]) -> None:
    _, upper = overlay
    assert _hidden(upper) == []


def test_what_was_written_and_removed(overlay: tuple[Path, int]) -> None:
    merged, upper = overlay
    (merged / "a/b/file").write_text("above")
    (merged / "c").unlink()
    assert _hidden(upper) == ["a/b/file", "c"]


def test_a_directory_that_was_made_anew(overlay: tuple[Path, int]) -> None:
    merged, upper = overlay
    shutil.rmtree(merged / "a/b")
    (merged / "a/b").mkdir()
    (merged / "a/b/file").write_text("above")
    assert _hidden(upper) == ["a/b/file", "a/b/other"]


def test_a_directory_that_was_removed_with_what_is_above_it(overlay: tuple[Path, int]) -> None:
    merged, upper = overlay
    shutil.rmtree(merged / "a")
    assert _hidden(upper) == ["a/b/file", "a/b/other"]
    (merged / "a/b").mkdir(parents=True)
    assert _hidden(upper) == ["a/b/file", "a/b/other"]


def test_a_link_in_the_place_of_a_directory(overlay: tuple[Path, int]) -> None:
    merged, upper = overlay
    shutil.rmtree(merged / "a/b")
    (merged / "a/b").symlink_to("/")
    assert _hidden(upper) == ["a/b/file", "a/b/other"]
