"""The reason of a failed installation, from what apt-get and dpkg of Debian 11 to 13 print."""

import pytest

from postroj.family.apt import FAMILY
from postroj.family.apt.reason import find
from postroj.family.reason import complaints
from postroj.package.units import not_started, units_of

_SETTING_UP = """Reading package lists...
Setting up web (1.0) ...
{words}dpkg: error processing package web (--configure):
 installed web package post-installation script subprocess {how}
Errors were encountered while processing:
 web
E: Sub-process /usr/bin/dpkg returned an error code (1)
"""


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (
            _SETTING_UP.format(words="one\nno such user: x\n", how="returned error exit status 3"),
            "the postinst of web failed (exit status 3): no such user: x",
        ),
        (
            _SETTING_UP.format(words="\x1b[31mno such user\x1b[0m: x\n", how="returned error exit status 3"),
            "the postinst of web failed (exit status 3): no such user: x",
        ),
        (
            _SETTING_UP.format(
                words="E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is it used?\n",
                how="returned error exit status 100",
            ),
            "the postinst of web failed (exit status 100): it calls apt-get or dpkg, which wait for the installation"
            " that it is part of",
        ),
        (
            _SETTING_UP.format(words="", how="returned error exit status 3"),
            "the postinst of web failed (exit status 3) and printed nothing",
        ),
        (
            _SETTING_UP.format(words="", how="was killed by signal (Killed)"),
            "the postinst of web failed (killed by signal Killed) and printed nothing",
        ),
        (
            "Preparing to unpack /run/postroj/0/web.deb ...\nno room\n"
            "dpkg: error processing archive /run/postroj/0/web.deb (--unpack):\n"
            " new web package pre-installation script subprocess returned error exit status 2\n",
            "the preinst of web failed (exit status 2): no room",
        ),
        (
            "Unpacking web (1.0) ...\ndpkg: error processing archive /run/postroj/0/web.deb (--unpack):\n"
            " trying to overwrite '/usr/bin/gpgv', which is also in package gpgv 2.2\n",
            "/usr/bin/gpgv of web.deb is also in the package gpgv",
        ),
        (
            "The following packages have unmet dependencies:\n web : Depends: x (>= 2) but it is not installable\n",
            "web depends on x (>= 2) but it is not installable",
        ),
        ("dpkg: error processing package web (--configure):", ""),
        ("E: something else", "something else"),
        ("E: Unable to correct problems, you have held broken packages.", ""),
        ("", ""),
    ],
)
def test_reason(output: str, told: str) -> None:
    assert find(output).what == told


def test_a_reason_is_bounded() -> None:
    assert len(find(_SETTING_UP.format(words="x" * 10**6 + "\n", how="returned error exit status 1")).what) == 200


def test_a_hostile_line_takes_no_time() -> None:
    line = " x package x script subprocess " + "exit status 1 " * 20_000 + "("
    find(f"dpkg: error processing package x (--configure):\n{line}\n")


def test_many_hostile_lines_take_no_time() -> None:
    lines = [" x package x script subprocess :", *[" " + "exit status 1" * 140] * 130, " ("]
    find("\n".join(["dpkg: error processing package x (--configure):", *lines]))


_INSTALLED = """Setting up other (2.0) ...
/var/lib/dpkg/info/other.postinst: 9: tool: not found
Setting up web:amd64 (1.0) ...
Created symlink /etc/x.
/var/lib/dpkg/info/web.postinst: 4: [[: not found
chown: cannot access '/srv/x': No such file or directory
Failed to start web.service: Unit db.service not found.
Processing triggers for man-db (2.11) ...
/etc/x: Permission denied
"""


def test_commands_that_fail_in_a_script_that_goes_on() -> None:
    assert FAMILY.complaints(_INSTALLED, ["web"]) == [
        "/var/lib/dpkg/info/web.postinst: 4: [[: not found",
        "chown: cannot access '/srv/x': No such file or directory",
    ]
    assert FAMILY.complaints(_INSTALLED, ["third"]) == []
    lines = ["/var/tmp/rpm-tmp.x: line 4: foo: command not found", "warning: x: not found", "12:34:56: all is well"]
    assert complaints(lines, of_shell=True) == lines[:1]


def test_units_that_an_installation_could_not_start() -> None:
    assert not_started(_INSTALLED.splitlines()) == ["web.service"]
    assert units_of('it failed: Job failed. See "journalctl -xe" for details.', "Job failed.") == []
    assert units_of("it failed: no such user", _INSTALLED) is None
