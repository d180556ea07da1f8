"""apt's argument lists: what a package is called can never be an option."""

from collections.abc import Callable, Sequence
from functools import partial

import pytest

from postroj.family import Commands
from postroj.family.apt import FAMILY, NAME

COMMANDS = [partial(FAMILY.resolve, lists=True), FAMILY.fetch, FAMILY.install]
PACKAGES = ["webfs", "/run/postroj/0/a.deb"]


@pytest.mark.parametrize("command", COMMANDS)
def test_options_stand_before_the_dashes_and_packages_behind(command: Callable[[Sequence[str]], Commands]) -> None:
    (argv,) = command(PACKAGES)
    dashes = argv.index("--")
    assert argv[:2] == ["apt-get", "install"]
    assert all(word.startswith("--") for word in argv[2:dashes])
    assert argv[dashes + 1 :] == PACKAGES


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_asked(command: Callable[[Sequence[str]], Commands]) -> None:
    assert "--yes" in command(PACKAGES)[0]
    assert FAMILY.environment["DEBIAN_FRONTEND"] == "noninteractive"


def test_only_one_of_them_installs() -> None:
    assert "--simulate" in FAMILY.resolve(PACKAGES, lists=True)[0]
    assert "--download-only" in FAMILY.fetch(PACKAGES)[0]
    assert not {"--download-only", "--simulate"} & set(FAMILY.install(PACKAGES)[0])


def test_an_update_fails_where_a_list_fails() -> None:
    argv = FAMILY.update()
    assert argv[:2] == ["apt-get", "update"]
    assert "--option=APT::Update::Error-Mode=any" in argv


@pytest.mark.parametrize("name", ["ab", "g++", "a.b", "a-b", "a1:arm64", "a1=1:2.3~rc-1+b1", "a1/stable", "a1:any=1"])
def test_a_name(name: str) -> None:
    assert NAME.fullmatch(name)


@pytest.mark.parametrize(
    "name",
    ["", "a", "A1", "-ab", "+ab", ".ab", "ab-", "a b", "ab\n", "ab*", "ab=", "ab/", "ab:", "ab=1/x", "ab/x=1",
    "ab=-o x", "a_b"]
)  # fmt: skip
def test_no_name(name: str) -> None:
    assert not NAME.fullmatch(name)


def test_what_is_removed_is_no_option_and_nothing_is_asked() -> None:
    for verb, command in (("remove", FAMILY.remove), ("purge", FAMILY.purge)):
        (argv,) = command(["web", "lib:amd64"])
        assert argv[:3] == ["apt-get", verb, "--yes"]
        assert argv[-3:] == ["--", "web", "lib:amd64"]


def test_what_a_removal_takes_along() -> None:
    output = (
        "The following packages were automatically installed and are no longer required:\n  idle\n"
        "The following packages will be REMOVED:\n  dep* lib:i386\n  web*\n0 upgraded, 3 to remove.\n  not this\n"
    )
    assert FAMILY.removed(output) == ["dep", "lib:i386", "web"]
    assert FAMILY.removed("Removing web (1.0) ...\n") == []


def test_configuration_files() -> None:
    known = "0123456789abcdef" * 2
    output = (
        f"\n /etc/web.conf {known}\n /etc/a dir/a b {known} obsolete\n /etc/new newconffile\n"
        f" /etc/gone {known} remove-on-upgrade\n /etc/odd {known[:-1]}\nno packages found matching /etc/x {known}\n"
    )
    assert FAMILY.read_config_files(output) == ["/etc/web.conf", "/etc/a dir/a b", "/etc/new", "/etc/gone"]


SHOWN = """\
Package: web
Version: 1.0-1
Depends: web-common (= 1.0-1), libc6 (>= 2.34), web-core:any (= 1:1.0~rc-1) , a1 (= 1) | b1 (= 1), web-common (= 1.0-1)
Pre-Depends: web-base (= 1.0-1)
Recommends: web-doc (= 1.0-1)
Description: Depends: web-not (= 1.0-1)
 Depends: web-never (= 1.0-1)

Package: other
Depends: --yes (= 1), bad name (= 1), good (= 2 -o x), fine (= 3)
"""


def test_what_packages_need_in_one_version_only() -> None:
    assert FAMILY.needs(["web", "web/stable", "/run/postroj/0/a.deb"]) == ()
    assert FAMILY.needs(["web", "web=1.0-1"]) == ["apt-cache", "show", "--", "web=1.0-1"]
    found = ["web-common=1.0-1", "web-core=1:1.0~rc-1", "web-base=1.0-1", "fine=3"]
    assert FAMILY.read_needs(SHOWN) == found
    assert all(map(NAME.fullmatch, found))
