"""A maintainer script that asks is told from one that fails of something else."""

import pytest

from postroj.package.prompts import last_test, of_script


@pytest.mark.parametrize(
    ("script", "words", "told"),
    [
        (
            "set -e\nread answer\n",
            ["Accept the licence? [y/n]"],
            "asks for input by `read answer` (Accept",
        ),
        ("set -e\nprintf 'Name: '; read -r name\n", ["Name:"], "asks for input by `read -r name` (Name:)"),
        ("set -e\nread answer\n", [], "asks for input by `read answer`, and nobody answers"),
        ("exec </dev/tty\n", ["cannot open /dev/tty: No such device or address"], "asks at a terminal"),
        (". /usr/share/debconf/confmodule\ndb_get web/password\n", [], "asks by debconf, and nobody answers"),
        ("read answer\n", ["no such user: web"], ""),
        ("read version </etc/debian_version\nfalse\n", [], ""),
        ("cat x | while read -r line; do false; done\n", [], ""),
        ("# read answer\nfalse\n", [], ""),
        ("exit 1\n", ["Really?"], ""),
        ("", [], ""),
    ],
)
def test_of_script(script: str, words: list[str], told: str) -> None:
    found = of_script(script, words, {"DEBIAN_FRONTEND": "noninteractive"})
    assert found.startswith(told) and bool(found) is bool(told)


@pytest.mark.parametrize(
    ("script", "is_told"),
    [
        ("#!/bin/sh\nset -e\n[ -f /etc/x ] && chmod 600 /etc/x\n\n# the end\n", True),
        ("#!/bin/sh\ntest -f /etc/x && true", True),
        ("#!/bin/sh\n[ -f /etc/x ] && true || true\n", False),
        ("#!/bin/sh\n[ -f /etc/x ] && true\nexit 0\n", False),
        ("#!/bin/sh\nfalse\n", False),
        ("", False),
    ],
)
def test_a_script_that_ends_with_a_test(script: str, is_told: bool) -> None:
    assert ("fails if the test does" in last_test(script)) is is_told
