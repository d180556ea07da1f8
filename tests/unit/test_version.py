"""Debian's order of versions, as dpkg --compare-versions has it."""

import itertools

import pytest

from postroj.package.version import is_newer

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
