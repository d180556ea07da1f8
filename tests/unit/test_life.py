"""The phases of a package's life: what is refused before anything boots, and what the documentation says of them."""

from pathlib import Path

import pytest

from postroj.errors import UsageError
from postroj.harness.job import Stage
from postroj.harness.life import LIFE, PHASES, check_has_earlier, check_uses, read
from postroj.harness.life.earlier import check_differ, check_earlier, of_baseline
from postroj.harness.life.left import NOISE
from postroj.harness.life.rules import RULES
from postroj.harness.request import Request
from postroj.package.reference import Package

_PAGE = (Path(__file__).parents[2] / "docs/lifecycle.md").read_text()


def test_the_whole_life_is_possible() -> None:
    assert [phase.name for phase in read(LIFE, has_packages=True)] == list(LIFE)


def test_a_phase_that_comes_again_has_a_number() -> None:
    phases = read(["install", "check", "reboot", "check", "remove", "install-again", "check"], has_packages=True)
    names = [phase.name for phase in phases]
    assert names == ["install", "check", "reboot", "check-2", "remove", "install-again", "check-3"]


@pytest.mark.parametrize(
    ("names", "what", "hint"),
    [
        (["instal"], "there is no phase 'instal'", "did you mean install?"),
        (["?"], "there is no phase '?'", "phases are install, check"),
        (["restart"], "the phase restart cannot come at the beginning: the package is not installed then", "install"),
        (["install", "install"], "install cannot come after install: the package is installed then", "--phase=remove"),
        (["install", "remove", "check"], "cannot come after remove: the package is removed then", "--phase=install"),
        (["install", "install-again"], "cannot come after install: the package is installed then", "--phase=remove"),
        (
            ["upgrade", "downgrade", "reinstall"],
            "after downgrade: the package is installed in the earlier",
            "--phase=upgrade",
        ),
    ],
)
def test_an_order_that_is_impossible(names: list[str], what: str, hint: str) -> None:
    with pytest.raises(UsageError, match="phase") as refused:
        read(names, has_packages=True)
    assert what in refused.value.what
    assert hint in refused.value.hint


def test_phases_without_a_package() -> None:
    assert len(read(["check", "reboot", "restart"], has_packages=False)) == 3
    with pytest.raises(UsageError, match="the phase upgrade is about a package"):
        read(["upgrade"], has_packages=False)


def test_a_rule_that_does_not_exist() -> None:
    with pytest.raises(UsageError, match="there is no rule 'stop-service'") as refused:
        read(["install"], has_packages=True, allow=["stop-service"])
    assert refused.value.hint == "did you mean stops-service?"


def test_each_phase_leaves_what_another_needs() -> None:
    stages = {phase.leaves for phase in PHASES.values()}
    assert stages == {*Stage, None} - {Stage.NOTHING}


def _file(version: str, name: str = "web", kind: str = "deb", architecture: str = "amd64") -> Package:
    return Package(f"./{name}_{version}", f"/{name}", architecture, name, version, format=kind)


@pytest.mark.parametrize(
    ("old", "told"),
    [
        (_file("1.0", name="other"), "--upgrade-from=./other_1.0 is other, and what is under test is web"),
        (_file("2.0"), "has the version 2.0, as ./web_2.0 has"),
        (_file("1:0.1"), "has the version 1:0.1, which is newer than 2.0"),
        (_file("1.0", architecture="arm64"), "is for arm64, and ./web_2.0 for amd64"),
        (_file("1.0", kind="rpm"), "is an RPM package, and ./web_2.0 is a Debian package"),
        (_file("1.0")._replace(fault="is for x86_64, which Debian calls amd64"), "which Debian calls amd64"),
    ],
)
def test_what_is_no_earlier_release(old: Package, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_earlier([_file("2.0")], [old])
    assert told in refused.value.what


def test_an_earlier_release() -> None:
    check_earlier([_file("2.0")], [_file("1.0"), _file("2.0~rc1", architecture="all"), Package("web=1", "", "", "web")])


def test_the_page_has_the_rules_the_phases_and_the_noise() -> None:
    for name, rule in RULES.items():
        assert f"| `{name}` | {rule.what} | {rule.source} |" in _PAGE
    for name in PHASES:
        assert f"| `{name}` |" in _PAGE
    for pattern, why in NOISE:
        shown = pattern.replace("|", "\\|")
        assert f"| `{shown}` | {why} |" in _PAGE


def test_an_earlier_release_is_for_phases_that_take_one() -> None:
    check_has_earlier(LIFE, has_earlier=False)
    check_has_earlier(["upgrade"], has_earlier=True)
    with pytest.raises(UsageError, match="the phase upgrade needs an earlier release"):
        check_has_earlier(["install", "remove", "upgrade"], has_earlier=False)
    with pytest.raises(UsageError, match="--upgrade-from is for the phases upgrade and downgrade"):
        check_has_earlier(["install"], has_earlier=True)


@pytest.mark.parametrize("names", [["install"], ["install", "remove", "purge"]])
def test_checks_that_no_phase_makes(names: list[str]) -> None:
    with pytest.raises(UsageError, match=f"checks are asked for, and none of the phases {', '.join(names)} looks"):
        check_uses(names, units=False, checks=True)
    check_uses([*names, "install-again"], units=True, checks=True)
    check_uses([], units=True, checks=True)


def test_units_that_no_phase_looks_at() -> None:
    with pytest.raises(UsageError, match="units are named, and none of the phases install looks at them"):
        check_uses(["install"], units=True, checks=False)
    check_uses(["install", "remove"], units=True, checks=False)


def _written(path: Path, version: str, data: bytes) -> Package:
    path.write_bytes(data)
    return Package(str(path), str(path), "all", "agent", version, format="deb")


def test_a_package_is_not_its_own_baseline(tmp_path: Path) -> None:
    new, copy = _written(tmp_path / "new.deb", "1.0", b"new"), _written(tmp_path / "copy.deb", "1.0", b"new")
    other, named = _written(tmp_path / "other.deb", "1.0", b"other"), Package("agent", "", "", "agent")
    check_differ([new], [other, named])
    check_differ([new], [])
    for packages, baseline in (([new], [new]), ([new], [copy]), ([named], [named])):
        with pytest.raises(UsageError, match=f"--baseline={baseline[0].reference} is the package under test"):
            check_differ(packages, baseline)


def test_a_baseline_that_is_the_earlier_release_as_well(tmp_path: Path) -> None:
    old, older = _written(tmp_path / "old.deb", "1.0", b"old"), _written(tmp_path / "older.deb", "0.9", b"older")
    asked = Request(packages=["new"], baseline=["old"], earlier=["old"], phases=("install", "check", "upgrade"))
    alone = of_baseline(asked, [old], [old])
    assert (alone.packages, alone.baseline, alone.earlier, alone.phases) == (["old"], (), (), ("install", "check"))
    assert of_baseline(asked, [old], [older]).phases == asked.phases
    with pytest.raises(UsageError, match="only an upgrade is asked for"):
        of_baseline(asked._replace(phases=("upgrade",)), [old], [old])
