"""How lanes share the integration tests."""

from pathlib import Path
from typing import NamedTuple

import pytest

from sharing import taken


class _Test(NamedTuple):
    nodeid: str
    path: Path


def made(**counts: int) -> list[_Test]:
    return [_Test(f"{name}::{number}", Path(name)) for name, count in counts.items() for number in range(count)]


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "taken"
    path.touch()
    return path


def test_each_test_is_taken_once_and_all_of_them_are(record: Path) -> None:
    all_tests = made(a=3, b=23, c=11)
    lanes = [taken(all_tests, record) for _ in range(4)]
    found = [test for _ in all_tests for lane in lanes if (test := next(lane, None))]
    assert sorted(found) == sorted(all_tests)


def test_a_lane_takes_the_largest_module_that_no_lane_is_at_and_stays_with_it(record: Path) -> None:
    all_tests = made(a=3, b=23, c=11)
    one, other = taken(all_tests, record), taken(all_tests, record)
    assert next(one).path == Path("b")
    assert [test.nodeid for test in other][:11] == [test.nodeid for test in made(c=11)]
    assert not list(taken(all_tests, record))
    assert [test.nodeid for test in one] == [f"b::{number}" for number in range(1, 5)]


def test_a_lane_helps_from_the_end(record: Path) -> None:
    all_tests = made(a=12)
    first, helper = taken(all_tests, record), taken(all_tests, record)
    assert next(first).nodeid == "a::0"
    assert next(helper).nodeid == "a::7"


def test_lanes_that_have_selected_different_tests(record: Path) -> None:
    all_tests = made(a=4)
    assert [test.nodeid for test in taken(all_tests[1:3], record)] == ["a::1", "a::2"]
    assert [test.nodeid for test in taken(all_tests, record)] == ["a::0", "a::3"]
