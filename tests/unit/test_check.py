"""Checks as they are written."""

import pytest

from postroj.errors import UsageError
from postroj.probe.check import UnitCheck, read
from postroj.probe.network import parse


def test_units() -> None:
    assert read("unit webfs") == UnitCheck("webfs.service")


def test_addresses() -> None:
    assert read("tcp localhost:80") == read("tcp tcp://localhost:80") == parse("tcp://localhost:80")
    check = read("http https://localhost/health status=200,204")
    assert not isinstance(check, UnitCheck)
    assert (check.scheme, check.port, check.path, check.statuses) == ("https", 443, "/health", (200, 204))
    assert check.text == "https://localhost/health status=200,204"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is not a check"),
        ("http", "is not a check"),
        ("http 'http://x", "is not a check"),
        ("smtp localhost:25", "is an unknown kind of check"),
        ("unit webfs state=active", "not a setting of a check of unit"),
        ("http http://localhost body=x", "not a setting of a check of http"),
        ("http http://localhost status=200 status=201", "not a setting"),
        ("http http://localhost status", "not a setting"),
        ("http http://localhost status=", "is not an HTTP status"),
        ("http http://localhost status=20", "is not an HTTP status"),
        ("http http://localhost status=999", "is not an HTTP status"),
        ("http http://localhost status=\u0662\u0660\u0660", "is not an HTTP status"),
        ("http tcp://localhost:80", "is not an address of http"),
        ("tcp localhost", "has no port"),
        ("unit @.service", "cannot be a unit's name"),
    ],
)
def test_wrong_ones(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read(text)
