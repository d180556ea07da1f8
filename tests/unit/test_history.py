"""What the last runs of cells came to: what is kept of them, and by several runs at the same time."""

import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from postroj.matrix.history import History
from postroj.matrix.outcome import Outcome, Verdict

from .test_matrix_reports import cell


def test_runs_at_the_same_time_lose_nothing_of_each_other() -> None:
    cells = [cell("debian", f"one-{number}") for number in range(100)]
    with ThreadPoolExecutor(8) as runs:
        list(runs.map(lambda one: History(".").note([Outcome(one, Verdict.FAILED)]), cells))
    assert all(map(History(".").has_failed, cells))


def test_what_was_not_run_stays_as_it_was() -> None:
    """Broken off, it has taken less than it takes; not even begun, as its image could not be pulled, it has failed."""
    slow, quick, without_image = (cell("debian", name) for name in ("slow", "quick", "without-image"))
    History(".").note([Outcome(slow, Verdict.PASSED, seconds=90), Outcome(quick, Verdict.FAILED, seconds=9)])
    broken_off = [Outcome(one, Verdict.NOT_RUN, seconds=1) for one in (slow, quick)]
    History(".").note([*broken_off, Outcome(without_image, Verdict.UNKNOWN, tries=0)])
    history = History(".")
    assert history.slowest_first([quick, slow]) == [slow, quick]
    assert [history.has_failed(one) for one in (slow, quick, without_image)] == [False, True, True]


def test_what_cannot_be_kept_leaves_nothing_that_is_out_of_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """--failed would find that no cell has failed."""
    one = cell("debian", "one")
    History(".").note([Outcome(one, Verdict.PASSED)])

    def full(path: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    monkeypatch.setattr("postroj.matrix.history.replacing", full)
    with pytest.raises(OSError):
        History(".").note([Outcome(one, Verdict.FAILED)])
    assert not History(".").has_run(one)


def test_what_is_old_is_forgotten(places: Path) -> None:
    one, other = cell("debian", "one"), cell("debian", "other")
    History("old").note([Outcome(one, Verdict.FAILED)])
    (file,) = (places / "state/tests").iterdir()
    for days, is_kept in ((80, True), (100, False)):
        os.utime(file, (time.time() - days * 24 * 3600,) * 2)
        History("new").note([Outcome(other, Verdict.FAILED)])
        assert History("old").has_failed(one) is is_kept
    assert History("new").has_failed(other)
