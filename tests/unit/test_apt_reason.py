"""The reason of a failed installation, from what apt-get and dpkg of Debian 11 to 13 print."""

import pytest

from postroj.family.apt import FAMILY
from postroj.family.apt.reason import find, running
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
            _SETTING_UP.format(
                words="useradd: group 'x' does not exist\nUsage: useradd [options] LOGIN\n\nOptions:\n"
                + "  -b, --base-dir BASE_DIR       base directory for the home directory\n" * 40,
                how="returned error exit status 2",
            ),
            "the postinst of web failed (exit status 2): useradd: group 'x' does not exist",
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
            "the postinst of web failed (exit status 100): it calls apt-get or dpkg, which wait for the one"
            " that runs it",
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


_REMOVING = """Removing web (1.0) ...
Removing user web ...
(Reading database ... 7761 files and directories currently installed.)
Purging configuration files for web (1.0) ...
"""


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (
            "Removing web (1.0) ...\nRemoving user web ...\nno such user: x\n"
            "dpkg: error processing package web (--remove):\n"
            " installed web package pre-removal script subprocess returned error exit status 3\n"
            "dpkg: too many errors, stopping\nworse\ndpkg: error while cleaning up:\n"
            " installed web package post-installation script subprocess returned error exit status 7\n",
            "the prerm of web failed (exit status 3): no such user: x",
        ),
        (
            f"{_REMOVING}really? [y/N]dpkg: error processing package web (--purge):\n"
            " installed web package post-removal script subprocess returned error exit status 1\n",
            "the postrm of web failed (exit status 1): really? [y/N]",
        ),
        (
            "Removing web (1.0) ...\nProcessing triggers for lib (1.0) ...\nno\n"
            "dpkg: error processing package lib (--configure):\n"
            " installed lib package post-installation script subprocess returned error exit status 5\n",
            "the postinst of lib failed (exit status 5) when it was run for a trigger: no",
        ),
    ],
)
def test_reason_of_a_removal(output: str, told: str) -> None:
    assert find(output).what == told


@pytest.mark.parametrize(
    ("output", "processes", "told"),
    [
        ("Removing web (1.0) ...\nRemoving user web ...\n", [], "the prerm or postrm of web"),
        ("Removing web (1.0) ...\n", ["dpkg", "web.prerm", "sleep"], "the prerm of web"),
        ("Removing web (1.0) ...\n", ["other.prerm"], "the prerm or postrm of web"),
        # a process's name has 15 characters
        ("Removing a-web-server (1.0) ...\n", ["a-web-server.po"], "the postrm of a-web-server"),
        ("Removing a-long-web-server (1.0) ...\n", ["a-long-web-serv"], "the prerm or postrm of a-long-web-server"),
        (_REMOVING, [], "the postrm of web"),
        ("Preparing to unpack /run/postroj/0/web_1.0_all.deb ...\n", [], "the preinst of web"),
        ("Preparing to unpack /run/postroj/0/web_1.0_all.deb ...\n", ["web.prerm"], "the prerm of web"),
        ("Unpacking web (2.0) over (1.0) ...\n", ["web.postrm"], "the postrm of web"),
        ("Unpacking web (2.0) over (1.0) ...\n", [], ""),
        ("Reading package lists...\n", ["web.prerm"], ""),
    ],
)
def test_the_script_that_runs(output: str, processes: list[str], told: str) -> None:
    assert running(output, processes) == told


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
    assert not_started([r"Job for mnt-a\x2db.mount failed."]) == [r"mnt-a\x2db.mount"]
    assert units_of('it failed: Job failed. See "journalctl -xe" for details.', "Job failed.") == []
    assert units_of("it failed: no such user", _INSTALLED) is None
    for masked in ("Unit file /etc/systemd/system/web.service is masked.", "Unit web.service is masked."):
        line = f"Failed to enable unit: {masked}"  # systemd 252, and newer ones
        assert units_of(f"it failed: {line}", line) == ["web.service"]


def test_a_compression_that_dpkg_does_not_know_is_no_damage() -> None:
    """Debian 11 knows no zstd, which nfpm can be told to take."""
    output = (
        "Unpacking web (1.0) ...\n"
        "dpkg-deb: error: archive '/x/web.deb' uses unknown compression for member 'data.tar.zst', giving up\n"
        "dpkg: error processing archive /x/web.deb (--unpack):\n"
        " dpkg-deb --control subprocess returned error exit status 2\n"
    )
    told = "the dpkg of this image does not know the compression of data.tar.zst in web.deb: build it with xz"
    assert find(output).what == told
