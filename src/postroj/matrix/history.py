"""What the last runs of a plan's cells came to, and how long they took: for --failed and --order."""

import hashlib
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

import msgspec

from postroj import locks
from postroj.matrix.outcome import Outcome, Verdict
from postroj.plan.cells import Cell
from postroj.replacing import replacing
from postroj.settings import state_dir

_KEPT_SECONDS = 90 * 24 * 3600.0


class Last(msgspec.Struct):
    """The last run of a cell."""

    verdict: Verdict
    seconds: float


class History:
    """The last runs of the cells of one plan, kept in the state directory; without a plan, those of one directory."""

    def __init__(self, place: str) -> None:
        key = hashlib.sha256(os.path.realpath(place).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self._path = os.path.join(state_dir(), "tests", f"{key}.json")
        self._last = self._read()

    def has_run(self, cell: Cell) -> bool:
        """Return whether a cell was run here, whatever has come of it."""
        return cell.name in self._last

    def has_failed(self, cell: Cell) -> bool:
        """Return whether a cell was run, and has not passed."""
        last = self._last.get(cell.name)
        return last is not None and last.verdict is not Verdict.PASSED

    def slowest_first(self, cells: Iterable[Cell]) -> list[Cell]:
        """Return cells in the order of what they took, those that were never run first."""
        never = Last(Verdict.NOT_RUN, float("inf"))
        return sorted(cells, key=lambda cell: -self._last.get(cell.name, never).seconds)

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Keep the outcomes of cells; those of cells that were not run stay as they were.

        Raises OSError, and removes what is out of date then, if that can be: otherwise nothing would have failed.
        """
        try:
            self._note(outcomes)
        except OSError:
            with suppress(OSError):
                os.unlink(self._path)
            raise

    def _note(self, outcomes: Sequence[Outcome]) -> None:
        new = {one.cell.name: Last(one.verdict, one.seconds) for one in outcomes if one.verdict is not Verdict.NOT_RUN}
        lock = locks.lock_directory(os.path.dirname(self._path), create=True)
        assert lock
        # Read again: another run may have written meanwhile.
        with lock:
            with replacing(self._path) as fd, open(fd, "wb", closefd=False) as file:
                file.write(msgspec.json.encode({**self._read(), **new}))
            _forget(lock.path)

    def _read(self) -> dict[str, Last]:
        with suppress(OSError, msgspec.DecodeError), open(self._path, "rb") as file:
            return msgspec.json.decode(file.read(), type=dict[str, Last])
        return {}


def _forget(directory: str) -> None:
    """Remove what was not written for a long time: the directory of the plan may be gone, as those of CI jobs are."""
    for entry in os.scandir(directory):
        if entry.stat(follow_symlinks=False).st_mtime < time.time() - _KEPT_SECONDS:
            os.unlink(entry.path)
