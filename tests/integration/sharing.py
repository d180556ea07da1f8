"""Tests that several lanes share: each lane takes the next ones that no lane has taken, as long as there are any."""

import fcntl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

_AT_ONCE = 5
"""Tests that are taken at once: what the last lane may have to do while the others have nothing left."""


class _Test(Protocol):
    """As pytest.Item."""

    @property
    def nodeid(self) -> str: ...
    @property
    def path(self) -> Path: ...


_T = TypeVar("_T", bound=_Test)


def taken(tests: Sequence[_T], record: Path) -> Iterator[_T]:
    """Yield the tests that this lane is to run; `record` has the names of those that some lane has taken."""
    module = None
    while part := _take(tests, record, module):
        module = part[-1].path
        yield from part


def _take(tests: Sequence[_T], record: Path, module: Path | None) -> Sequence[_T]:
    """Take tests of `module` if there are any left.

    A lane stays with a module, and begins with one that no lane is at, as each lane has to make the module's fixtures
    for itself. The module with most tests is the first, so that the last ones are short.
    """
    with open(record, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        names = set(file.read().splitlines())
        left: dict[Path, list[_T]] = {}
        for test in tests:
            if test.nodeid not in names:
                left.setdefault(test.path, []).append(test)
        if not left:
            return ()
        if module in left:
            part = left[module][:_AT_ONCE]
        else:
            begun = {test.path for test in tests if test.nodeid in names}
            new = [path for path in left if path not in begun]
            most = max(new or left, key=lambda path: len(left[path]))
            # Of one that another lane is at, those that are furthest from where that is.
            part = left[most][:_AT_ONCE] if new else left[most][-_AT_ONCE:]
        file.writelines(f"{test.nodeid}\n" for test in part)
    return part
