"""Orders of versions: Debian's, as dpkg --compare-versions has it; rpm's and pacman's, as their programs have them."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from postroj.package.version import is_newer, is_newer_arch, is_newer_rpm

_TABLE = Path(__file__).parent / "data/versions.txt"

# deb-version(7), each newer than the one before
_ORDER = [
    "0~", "0", "0.0~rc1", "0.0", "0.9", "1.0~~", "1.0~~a", "1.0~", "1.0~rc1", "1.0", "1.0-0.1", "1.0-1", "1.0-1a",
    "1.0-1+deb12u1", "1.0-1+deb12u2", "1.0-1+deb12u10", "1.0a", "1.0+b1", "1.0.1", "1.2", "1.10", "1.a", "1:0.1", "2:0",
    "2:" + "1" * 5000, "2:" + "2" * 5000,
]  # fmt: skip


@pytest.mark.parametrize(("older", "newer"), list(itertools.combinations(_ORDER, 2)))
def test_order(older: str, newer: str) -> None:
    assert is_newer(newer, older)
    assert not is_newer(older, newer)


@pytest.mark.parametrize(("one", "other"), [("1.0", "0:1.0"), ("1.0", "1.00"), ("1.0", "1.0-0"), ("", "")])
def test_the_same(one: str, other: str) -> None:
    assert not is_newer(one, other) and not is_newer(other, one)


def _order(newer: Callable[[str, str], bool], one: str, other: str) -> str:
    return ">" if newer(one, other) else "<" if newer(other, one) else "="


def test_rpm_and_pacman_have_the_same_order() -> None:
    lines = [line.split(" ") for line in _TABLE.read_text().splitlines()[1:]]
    assert len(lines) > 500
    wrong = [
        (one, rpm, arch, other)
        for one, rpm, arch, other in lines
        if (rpm, arch) != (_order(is_newer_rpm, one, other), _order(is_newer_arch, one, other))
    ]
    assert wrong == []


@pytest.mark.parametrize("newer", [is_newer_rpm, is_newer_arch])
@pytest.mark.parametrize(("one", "other"), [("1.0-1", "0:1.0-1"), ("1.0-1", "1.00-1"), ("01:1-1", "1:1-1"), ("", "")])
def test_the_same_to_rpm_and_pacman(newer: Callable[[str, str], bool], one: str, other: str) -> None:
    assert not newer(one, other) and not newer(other, one)


@pytest.mark.parametrize("newer", [is_newer_rpm, is_newer_arch])
def test_numbers_of_thousands_of_digits(newer: Callable[[str, str], bool]) -> None:
    assert newer("2" * 5000 + "-1", "1" * 5000 + "-1")


def test_pacman_compares_releases_if_both_have_one() -> None:
    assert _order(is_newer_arch, "1.0", "1.0-1") == _order(is_newer_arch, "1.0-2", "1.0") == "="
    assert _order(is_newer_arch, "1.0-2", "1.0-1") == ">"
