"""What pacman prints, as libalpm 13 and 14 word it, and what packages may print to be taken for it."""

import pytest

from postroj.family.pacman import FAMILY
from postroj.family.reason import LONGEST

_START = """\
loading packages...
resolving dependencies...
looking for conflicting packages...

Packages (1) web-1.0.0-1

:: Proceed with installation? [Y/n]
checking keyring...
checking package integrity...
loading package files...
checking for file conflicts...
:: Processing package changes...
"""
_FAILED = "error: command failed to execute correctly\n"
_FILES = "error: failed to commit transaction (conflicting files)\n"
_REFUSED = "error: failed to prepare transaction (could not satisfy dependencies)\n"


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (f"{_START}installing web...\nno such user: x\n{_FAILED}", "the install script of web failed: no such user: x"),
        (f"{_START}upgrading web...\n{_FAILED}", "the install script of web failed and printed nothing"),
        (
            f"{_START}installing web...\nerror: command terminated by signal 9: Killed\n",
            "the install script of web failed (signal 9) and printed nothing",
        ),
        (
            f"{_START}installing web...\n:: Running post-transaction hooks...\n(1/2) Reloading...\nfine\n"
            f"(2/2) Updating the menu...\nno menu\n{_FAILED}",
            'the hook "Updating the menu..." failed: no menu',
        ),
        (
            f":: Running pre-transaction hooks...\n( 1/12) Asking...\n{_FAILED}"
            "error: failed to commit transaction (failed to run transaction hooks)\n",
            'the hook "Asking..." failed and printed nothing',
        ),
        (
            f"{_START}installing lib...\nit is done\ninstalling web...\n{_FAILED}",
            "the install script of web failed and printed nothing",
        ),
        (
            f"{_REFUSED}:: unable to satisfy dependency 'lib>=2' required by web\n",
            "web requires lib>=2, which nothing provides",
        ),
        (
            f"{_FILES}web: /usr/bin/x exists in filesystem (owned by y)\n",
            "/usr/bin/x of web is also in the package y",
        ),
        (
            f"{_FILES}web: /usr/bin/x exists in filesystem\n",
            "/usr/bin/x of web is there already, and no package has it",
        ),
        (
            f"{_FILES}/usr/bin/x exists in both 'web' and 'other'\n",
            "/usr/bin/x of web is also in the package other",
        ),
        (
            "error: unresolvable package conflicts detected\n"
            "error: failed to prepare transaction (conflicting dependencies)\n:: web and old are in conflict\n",
            "web conflicts with old",
        ),
        ("error: target not found: web\n", "there is no package web in the repositories"),
        (
            "error: failed to prepare transaction (package architecture is not valid)\n"
            ":: package web-1.0.0-1-aarch64 does not have a valid architecture\n",
            "web-1.0.0-1-aarch64 is not for the architecture of this machine",
        ),
        (
            "error: '/run/postroj/0/web.pkg.tar.zst': package missing required signature\n",
            "web.pkg.tar.zst is not signed, which pacman.conf of this image asks for by LocalFileSigLevel",
        ),
        ("error: something new\n", "something new"),
        ("nothing that is known\n", ""),
        ("", ""),
    ],
)
def test_the_reason(output: str, told: str) -> None:
    assert FAMILY.reason(output).what == told


def test_a_script_that_fails_breaks_an_installation_that_has_succeeded() -> None:
    output = f"{_START}installing web...\nno such user: x\n{_FAILED}"
    assert FAMILY.broken(output) == FAMILY.reason(output)
    assert FAMILY.broken(f"{_START}installing web...\nerror: I am not an error of pacman's\n").what == ""


@pytest.mark.parametrize(
    "output",
    [
        "installing " + "a" * 10**6 + "...\n" + _FAILED,
        _FAILED * 10**5,
        "(1/1) x\n" * 10**5 + _FAILED,
        ":: Running post-transaction hooks...\n" * 10**4 + _FAILED,
        "installing ../../x...\n\0\x1b[2J\n" + _FAILED,
        ":: unable to satisfy dependency '" + "' required by " * 10**5 + "\n",
        "error: '" + "/" * 10**6 + "\n",
        "x: /" + " exists in filesystem (owned by " * 10**5 + "\n",
        ":: " + "a and " * 10**5 + "are in conflict\n",
    ],
)
def test_hostile_output_is_bounded(output: str) -> None:
    found = FAMILY.reason(output)
    assert len(found.what) <= LONGEST
    assert len(found.words) <= 12
    FAMILY.running(output)
    FAMILY.plan(output)
    FAMILY.distrusted(output)


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (
            'error: web: signature from "A <a@example.org>" is unknown trust\n',
            "is signed by a key",
        ),
        ('error: key "AB12" could not be looked up remotely\n', "is signed by a key that the guest does not know"),
        ("error: required key missing from keyring\n", "is signed by a key that the guest does not know"),
        ("error: failed retrieving file 'a.zst.sig' from x : The requested URL returned error: 404\n", "is not signed"),
        ('error: web: signature from "A <a@example.org>" is invalid\n', ""),
        ("error: failed retrieving file 'a.zst' from x : The requested URL returned error: 404\n", ""),
        ("", ""),
    ],
)
def test_repository_that_is_not_trusted(output: str, told: str) -> None:
    assert FAMILY.distrusted(output).startswith(told)
    assert bool(FAMILY.distrusted(output)) == bool(told)


def test_the_plan() -> None:
    output = (
        ":: Synchronizing...\nweb 1.0.0-1 /run/postroj/0/web-1.0.0-1-x86_64.pkg.tar.zst\n"
        "lib 1:2-1 https://example.org/lib-1:2-1-x86_64.pkg.tar.zst\nkept 3-1 file:///srv/kept.pkg.tar.zst\n"
    )
    assert [(step.name, step.version, step.is_local) for step in FAMILY.plan(output).installed] == [
        ("web", "1.0.0-1", True),
        ("lib", "1:2-1", False),
        ("kept", "3-1", False),
    ]


def test_files_and_names_go_by_different_operations() -> None:
    commands = [list(command) for command in FAMILY.install(["/run/postroj/0/web.pkg.tar.zst", "lib"])]
    assert [(command[3], command[-1]) for command in commands] == [
        ("--sync", "lib"),
        ("--upgrade", "/run/postroj/0/web.pkg.tar.zst"),
    ]


def test_the_package_whose_script_runs() -> None:
    assert FAMILY.running(f"{_START}installing lib...\ninstalling web...\n") == "the install script of web"
    assert FAMILY.running(_START) == ""


def test_what_a_removal_takes_along() -> None:
    output = "Packages (2) lib-1-1  web-1-1\nremoving web...\nremoving lib...\ninstalling other...\n"
    assert FAMILY.removed(output) == ["web", "lib"]


def test_configuration_files() -> None:
    output = "%BACKUP%\netc/a dir/a b\t0123\netc/web.conf\t4567\n\nerror: package 'x' was not found\n"
    assert FAMILY.read_config_files(output) == ["/etc/a dir/a b", "/etc/web.conf"]
