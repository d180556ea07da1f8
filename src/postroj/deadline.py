"""A deadline on the monotonic clock."""

import time


class Deadline:
    """`seconds` from now; None is never."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    @property
    def seconds(self) -> float | None:
        """The time that was given."""
        return self._seconds

    def remaining(self) -> float | None:
        """Seconds left, 0 where it has passed, None for never: what select(2) and its like take as a timeout."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def expired(self) -> bool:
        """Return whether no time is left."""
        return self.remaining() == 0

    def postpone(self, seconds: float) -> None:
        """Allow so much more: time that was spent on something else."""
        if self._end is not None:
            self._end += seconds

    def sooner(self, seconds: float) -> "Deadline":
        """Return the earlier of this and `seconds` from now."""
        remaining = self.remaining()
        return self if remaining is not None and remaining <= seconds else Deadline(seconds)


NEVER = Deadline(None)
