"""Each mistake of a plan is told in one line with file, line and key, and harms neither a terminal nor a shell."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from postroj.cli import execute
from postroj.errors import UsageError
from postroj.events import Warn, subscribed
from postroj.matrix import tasks
from postroj.plan.cells import MOST_CELLS
from postroj.plan.file import find, read
from postroj.plan.layers import from_environment
from postroj.plan.model import Plan

from .plans import cells, debian, project

HEAD = 'packages = ["dist/"]\n'
OF_AGENT = "packages = ['dist/agent_2.0_all.deb']\nimages = ['debian-12']\n"
URL = "https://example.org/debian"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    project(tmp_path)
    return tmp_path


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    told: list[str] = []
    with subscribed(lambda event: told.append(event.text) if isinstance(event, Warn) else None):
        yield told


def mistake(text: str) -> UsageError:
    """Return what `postroj test --check` would tell."""
    with pytest.raises(UsageError) as told:
        plan = cells(text)
        tasks.make(plan.all, plan)
    return told.value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("packages = ['dist/*.deb']\nimages = ['zypper', 'dnf']", "2: images: no image of these installs ./dist/"),
        ("packages = ['']", "1: packages: a package has no name"),
        ("packages = ['dist/', 1]", "1: packages item 2 must be a text, and is a whole number"),
        (f"{OF_AGENT}repo-key = ['key.asc']", "3: repo-key: --repo-key is the key of a repository, and none is"),
        (f"{OF_AGENT}repo = ['{URL} ./']", f"3: repo: the repository '{URL} ./' has no key to check its signatures by"),
        (f"{OF_AGENT}repo = ['{URL} ./']\nrepo-key = ['no.asc']", "3: repo: there is no key no.asc: debian-bookworm:"),
        (f"{OF_AGENT}repo-unsigned = ['{URL}']", f"3: repo-unsigned: '{URL}' is not a repository for apt"),
        (f"{OF_AGENT}phases = ['upgrade']\nupgrade-from = ['no.deb']", "4: upgrade-from: there is no file ./no.deb"),
        (f"{OF_AGENT}upgrade-from = ['dist/agent_2.0_copy.deb']", "3: upgrade-from: --upgrade-from=./dist/agent_2"),
    ],
)  # fmt: skip
def test_a_mistake_is_no_verdict_of_each_cell(here: Path, text: str, told: str) -> None:
    """It is told once, before anything boots, with its place."""
    (here / "dist/agent_2.0_copy.deb").write_bytes(debian("agent", "2.0"))
    assert mistake(text).what.startswith(f"postroj.toml:{told}")


@pytest.mark.parametrize(
    ("text", "told", "hint"),
    [
        # keys
        ("timeot = 3", "2: timeot is an unknown key", "did you mean timeout?"),
        ("zzz = 3", "2: zzz is an unknown key", "there is allow, "),
        ("[[override]]\nselect = '*:*'\nunit = []", "4: override.unit is an unknown key", "did you mean units?"),
        ("[[allow-failure]]\nselect = '*:*'\nreasons = 'x'", "4: allow-failure.reasons is an", "did you mean reason?"),
        ("[[package]]\nfile = ['dist/']", "3: package.file is an unknown key", "did you mean files?"),
        ("[variant.a]\n[variant.b]\ntimeot = 3", "4: variant.b.timeot is an unknown key", "did you mean timeout?"),
        ("[[package]]\nname = 'x'", "2: package.files is missing", ""),
        ("[[allow-failure]]\nselect = '*:*'", "2: allow-failure.reason is missing", ""),
        (
            "[[allow-failure]]\nselect = '*:*'\nreason = ' '",
            "4: allow-failure.reason must be a text that is not empty",
            "",
        ),
        ("[[override]]\ntimeout = 3", "2: override.select is missing", ""),
        # types
        ("units = 'x'", "2: units must be a list, and is a text", ""),
        ("timeout = '3'", "2: timeout must be a number, and is a text", ""),
        ("offline = 1", "2: offline must be true or false, and is a whole number", ""),
        ("variant = 3", "2: variant must be a table, and is a whole number", ""),
        ("jobs = 1.5", "2: jobs must be a whole number, and is a number", ""),
        ("start = 'never ever'", "2: start cannot be 'never ever'", "there is auto, never"),
        ("[[check]]\nhttp = 'http://x'\nbody = {like = 'y'}", "2: check cannot be 'like'", "not, matches, not-matches"),
        ("[[package]]\nfiles = []", "3: package.files must be a list that is not empty", ""),
        # values
        ('extends = "a\\u0000b"', "2: extends has a NUL character", ""),
        ('units = ["a", "b\\u0000"]', "2: units has a NUL character", ""),
        ('[[check]]\nhttp = "http://x"\nbody = {not = ["\\u0000"]}', "4: check.body.not has a NUL character", ""),
        ("timeout = 0", "2: timeout must be a number >= 0.001", ""),
        ("timeout = nan", "2: timeout must be", ""),
        ("timeout = inf", "2: timeout must be", ""),
        ("cpus = inf", "2: cpus: inf is not a number of CPUs", ""),
        ("jobs = 0", "2: jobs must be a whole number >= 1", ""),
        ("cache-size = 'much'", "2: cache-size: 'much' is not a size", ""),
        ("memory = 'lots'", "2: memory: 'lots' is not a size", ""),
        ("network = 'a b'", "2: network: 'a b' cannot be a network", ""),
        ("capability = ['CAP_NONE']", "2: capability: ", ""),
        ("phases = ['bogus']", "2: phases: there is no phase 'bogus'", "install, check"),
        ("phases = []", "2: phases: there are no phases in it", ""),
        ("images = []", "2: images: there are no images in it", ""),
        (
            "check = [{ file = '/x', mode = 0o644 }]", "2: check: mode is a number in it",
            'write its octal digits in quotes: mode = "0644"',
        ),
        ("phases = ['lifecycle', 'check']", "2: phases: lifecycle stands for all phases", ""),
        ("phases = ['install', 'upgrade']", "2: phases: the phase upgrade needs an earlier release: ", "upgrade-from"),
        ("allow = ['bogus']", "2: allow: ", ""),
        ("repo = ['nonsense']", "2: repo: 'nonsense' is not a repository", ""),
        ("units = ['-x;rm']", "2: units: '-x;rm' cannot be a unit's name", ""),
        ("upgrade-from = ['none/*.deb']", "2: upgrade-from: no file matches ./none/*.deb", ""),
        # checks
        ("check = ['bogus x']", "2: check: ", ""),
        ("[[check]]\ntcp = 'localhost:1'\n[[check]]\nhtp = 'x'", "4: check: a check begins with its kind, and this one "
         "with htp; did you mean http?", "kinds are unit"),
        ("[[check]]\ntcp = 'localhost:1'\n[[check]]\nhttp = 'http://x'\nstatu = 200", "4: check: 'http http://x "
         "statu=200': 'statu=200' is not a setting", ""),
        ("[[package]]\nfiles = ['dist/tool*']\n[[package.check]]\nunit = 'x'\n[[package.check]]\n\nhtp = 'y'",
         "6: check: a check begins", ""),
        ("[variant.v]\ncheck = ['unit x', 'bogus y']", "3: check: ", ""),
        ("[[override]]\nselect = '*:*'\ncheck = ['bogus y']", "4: check: ", ""),
        # selectors
        ("[[override]]\nselect = 'debian-99:*'", "3: override.select 'debian-99:*' selects no cell", "did you mean"),
        ("[[override]]\nselect = ['*:agent', '*:agnet']", "3: override.select '*:agnet' selects no cell",
         "did you mean *:agent?"),
        ("[[override]]\nselect = []\ntimeout = 3", "3: override.select is empty", ""),
        ("only = ['debian-12:tol']\nimages = ['debian-12']", "2: only: 'debian-12:tol' selects no cell",
         "did you mean debian-12:tool?"),
        ("[[override]]\nselect = 'a:b:c:d:e'", "3: override.select: 'a:b:c:d:e' selects no cells", "such as"),
        ("[[override]]\nselect = ''", "3: override.select is empty, and so selects no cell", ""),
        ("[[allow-failure]]\nselect = '*:none'\nreason = 'x'", "3: allow-failure.select '*:none' selects no cell", ""),
        ("[[override]]\nselect = '*:*'\ninherit = ['uits']", "4: override.inherit names uits, which is no list", ""),
        ("[[override]]\nselect = ['*:*']\ninherit = ['select']", "4: override.inherit names select, which is no", ""),
        ("[[override]]\nselect = '*:*'\ntimeout = 3\ninherit = ['timeout']", "5: override.inherit names timeout", ""),
        ("only = ['*:*', 'none:*']", "2: only: 'none:*' selects no cell", "--list"),
        ("exclude = ['*:agnet']", "2: exclude: '*:agnet' selects no cell", "did you mean *:agent?"),
        ("only = [':']", "2: only: ':' selects no cells", "such as"),
        ("exclude = ['*:*']", "2: exclude: no cell is left", "--list"),
        # packages and images
        ("[[package]]\nfiles = ['none/*.deb']", "3: package.files: no file matches ./none/*.deb", ""),
        ("[[package]]\nfiles = ['dist/*.rpm', 'webfs']", "3: package.files has both files and names of packages", ""),
        ("[[package]]\nname = 'x'\nfiles = ['dist/tool*']\n[[package]]\nname = 'x'\nfiles = ['dist/agent*.deb']",
         "5: package is named twice: two cells have the name debian-bookworm:x", "other names"),
        ("[[package]]\nname = 'a:b'\nfiles = ['dist/tool*']", "3: package.name must be a text of 1 to 100 letters", ""),
        ("[[package]]\nname = '..'\nfiles = ['dist/tool*']", "3: package.name must be a text of 1 to 100 letters", ""),
        ("[variant.'a b']", "must be a text of 1 to 100 letters", ""),
        ("[variant.'..']", "must be a text of 1 to 100 letters", ""),
        ("images = ['debian-99']", "2: images: there is no version '99' of debian", "debian-12"),
        ("images = ['debain-*']", "2: images: no image is called 'debain-*'", "did you mean debian-"),
        ("images = ['./none']", "2: images: there is no file or directory ", ""),
        ("images = ['nothing-*']", "2: images: no image is called 'nothing-*'", "list-images"),
        ("images = ['archlinux', 'alpine-3.22']", "2: images: the image alpine-3.22 installs none of the packages", ""),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(text: str, told: str, hint: str) -> None:
    error = mistake(f"{HEAD}{text}\n")
    assert error.what.startswith("postroj.toml:")
    assert told in error.what
    assert hint in error.hint


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('packages = ["none/*.deb"]', "postroj.toml:1: packages: no file matches ./none/*.deb"),
        ('packages = ["dist/*.deb"]\nimages = ["fedora-43"]', "postroj.toml:2: images: the image fedora-43 installs "
         "none of the packages (deb)"),
        ('packages = ["dist/tool_1.0_all.deb", "again/tool_1.0_all.deb"]', "are both packages of the name tool"),
        ('packages = ["webfs"]', "names of packages do not tell which images they are for"),
        ("", "there is no package to test"),
        ("x = ", "postroj.toml is not TOML"),
        ("x = 1\nx = 2", "postroj.toml is not TOML"),
        (f"x = {'[' * 5000}", "postroj.toml is not TOML"),
        (f"jobs = {'1' * 5000}", "postroj.toml is not TOML"),
        (f"#{'x' * (1 << 20)}", "postroj.toml is too big for a plan: it has more than 1 MiB"),
    ],
)  # fmt: skip
def test_a_mistake_of_a_whole_plan(here: Path, text: str, told: str) -> None:
    (here / "again").mkdir()
    (here / "again/tool_1.0_all.deb").write_bytes(debian("tool", "1.1"))
    assert told in mistake(text).what


def test_what_is_not_text(here: Path) -> None:
    (here / "postroj.toml").write_bytes(b"x = '\xff\xfe'")
    with pytest.raises(UsageError, match=r"postroj.toml is not TOML"):
        read("postroj.toml")
    with pytest.raises(UsageError, match="dist cannot be read as a plan: it is a directory"):
        read("dist")
    with pytest.raises(UsageError, match=r"none.toml cannot be read: No such file"):
        read("none.toml")


def test_a_plan_that_extends_itself(here: Path) -> None:
    (here / "a.toml").write_text('\nextends = "b.toml"')
    (here / "b.toml").write_text('extends = "./a.toml"')
    with pytest.raises(UsageError, match=r"^b.toml:1: extends goes in a circle: a.toml is extended by itself"):
        read("a.toml")
    (here / "c.toml").write_text('\n\nextends = "none.toml"')
    with pytest.raises(UsageError, match=r"^c.toml:3: extends cannot be followed: none.toml cannot be read"):
        read("c.toml")
    for number in range(30):
        (here / f"{number}.toml").write_text(f'extends = "{number + 1}.toml"')
    with pytest.raises(UsageError, match="extends goes on for more than 20 files"):
        read("0.toml")


def test_a_mistake_of_an_extended_plan_is_told_with_its_own_place(here: Path) -> None:
    (here / "sub").mkdir()
    (here / "sub/base.toml").write_text("\n\nunits = ['a b']")
    assert mistake(f'extends = "sub/base.toml"\n{HEAD}').what.startswith("sub/base.toml:3: units: 'a b'")


def test_many_packages_are_told_of_in_one_warning(here: Path, warnings: list[str]) -> None:
    for number in range(8):
        (here / f"dist/x{number}_1_all.deb").write_bytes(debian(f"x{number}", "1"))
        (here / f"dist/y{number}_1_s390x.deb").write_bytes(debian(f"y{number}", "1", "s390x"))
    plan = cells("packages = ['dist/']\nimages = ['debian-12', 'debian-13']\nupgrade-from = ['previous/']\n")
    tasks.make(plan.all, plan)
    fits, left_out, lacking = sorted(warnings)
    others = "./dist/y0_1_s390x.deb, ./dist/y1_1_s390x.deb, ./dist/y2_1_s390x.deb, ./dist/y3_1_s390x.deb, "
    assert fits == f"{others}./dist/y4_1_s390x.deb and 3 more are left out: they are for s390x, and this host is not"
    assert left_out.startswith("no image of the plan installs ./dist/agent-2.0-1")
    assert left_out.endswith(": they are left out") and left_out.count("./dist/agent-2.0-1") == 2
    assert lacking.startswith("postroj.toml:3: upgrade-from has no earlier release of ./dist/")
    assert lacking.endswith(" and 4 more") and lacking.count("./dist/") == 5


@pytest.mark.parametrize(("make", "told"), [(os.mkdir, "a directory"), (os.mkfifo, "no regular file")])
def test_a_plan_that_is_no_file(
    make: Callable[[str], None], told: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make("postroj.toml")
    for options in ([], ["--plan=postroj.toml"]):
        assert execute(["test", "--check", *options]) == 2
        assert f"postroj.toml cannot be read as a plan: it is {told}" in capsys.readouterr().err


def test_a_hundred_thousand_cells() -> None:
    variants = "".join(f"[variant.v{number}]\n" for number in range(4000))
    error = mistake(f"{HEAD}images = ['supported', 'apt', 'dnf']\n{variants}")
    assert f"and {MOST_CELLS:,} are the most" in error.what
    assert "4,000 variants" in error.what and error.hint == "name fewer variants"


def test_ten_thousand_cells_with_many_overrides_are_no_burden() -> None:
    """The alarm of conftest.py is the limit."""
    variants = "".join(f"[variant.v{number}]\n" for number in range(900))
    overrides = "".join(f"[[override]]\nselect = '*:*:v{number}'\ntimeout = 5\n" for number in range(50))
    images = "images = ['debian-bookworm', 'debian-trixie', 'ubuntu-noble']"
    plan = cells(f"packages = ['dist/*.deb']\n{images}\n{variants}{overrides}")
    assert len(plan.all) == 5400
    assert sum(plan.options(cell)["timeout"].value == 5 for cell in plan.all if "timeout" in plan.options(cell)) == 300


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("POSTROJ_TIMEOUT", "long", "POSTROJ_TIMEOUT=long must be a number$"),
        ("POSTROJ_UNITS", "it's", "POSTROJ_UNITS=it's cannot be taken: No closing quotation"),
        ("POSTROJ_OFFLINE", "maybe", "POSTROJ_OFFLINE=maybe must be true or false$"),
        ("POSTROJ_JOBS", "0", "POSTROJ_JOBS=0 must be a whole number >= 1$"),
        ("POSTROJ_START", "x", "POSTROJ_START=x must be auto or never$"),
    ],
)
def test_a_mistake_of_the_environment(name: str, value: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        from_environment({name: value})


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("POSTROJ_PHASES", "bogus", "POSTROJ_PHASES: there is no phase 'bogus'"),
        ("POSTROJ_IMAGES", "debian-99", "POSTROJ_IMAGES: there is no version '99'"),
        ("POSTROJ_PACKAGES", "./none.deb", "POSTROJ_PACKAGES: "),
        ("POSTROJ_ONLY", "none:*", "POSTROJ_ONLY: 'none:*' selects no cell"),
        ("POSTROJ_CHECK", "bogus", "POSTROJ_CHECK: 'bogus' is not a check"),
    ],
)
def test_a_wrong_value_of_the_environment_is_told_with_the_variable(name: str, value: str, told: str) -> None:
    with pytest.raises(UsageError) as error:
        assert cells(HEAD, environment=from_environment({name: value})).all
    assert error.value.what.startswith(told)


def test_a_wrong_value_of_the_command_line_is_told_with_the_option() -> None:
    with pytest.raises(UsageError, match=r"^--phase: there is no phase 'bogus'"):
        assert cells(HEAD, Plan(phases=("bogus",))).all


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--timeout=long", "argument --timeout: 'long' must be a number\n"),
        ("--jobs=1.5", "argument -j/--jobs: '1.5' must be a whole number\n"),
        ("--retries=11", "argument --retries: '11' must be a whole number <= 10\n"),
    ],
)
def test_a_wrong_value_of_an_option(option: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        execute(["test", "dist/", option])
    assert told in capsys.readouterr().err


def test_an_override_for_an_image_that_is_past_its_support_fails_no_plan(warnings: list[str]) -> None:
    assert cells(f"{HEAD}[[override]]\nselect = 'debian-9:*'\ntimeout = 3").all
    assert any("'debian-9:*' selects no cell: the image is past its support" in told for told in warnings)


def test_a_plan_that_is_narrowed_may_have_overrides_for_others(here: Path) -> None:
    text = f"{HEAD}[[override]]\nselect = 'fedora-43:*'\ntimeout = 3"
    assert cells(text).all
    assert cells(text, Plan(images=("debian-bookworm",))).all
    assert cells(text, Plan(packages=("dist/tool_1.0_all.deb",))).all
    (here / "base.toml").write_text(text)
    assert cells("extends = 'base.toml'\nimages = ['debian-bookworm']").all


def test_a_pyproject_of_others_is_no_plan(here: Path) -> None:
    for text in ("", "tool = 3", "[tool.other]\nx = 1"):
        (here / "pyproject.toml").write_text(text)
        assert find() == ""
    (here / "pyproject.toml").write_text("\n[tool.postroj]\ntimeot = 3")
    assert find() == "pyproject.toml"
    with pytest.raises(UsageError, match=r"^pyproject.toml:3: timeot is an unknown key"):
        read("pyproject.toml")
    (here / "pyproject.toml").write_text("[tool]\npostroj = 3")
    with pytest.raises(UsageError, match=r"^pyproject.toml: postroj is not a table"):
        read("pyproject.toml")


ESCAPE = "\\u001b]0;owned\\u0007\\u001b[31m\\n"


@pytest.mark.parametrize(
    "text",
    [
        f'"bad{ESCAPE}key" = 3',
        f'{HEAD}units = ["x{ESCAPE}"]',
        f'{HEAD}images = ["x{ESCAPE}"]',
        f'{HEAD}[[override]]\nselect = "x{ESCAPE}:*"',
        f'{HEAD}[[override]]\nselect = "*:*"\ninherit = ["{ESCAPE}"]',
        f'packages = ["dist/{ESCAPE}.deb"]',
        f'{HEAD}[[package]]\nfiles = ["dist/tool*"]\nname = "{ESCAPE}"',
        f'{HEAD}[variant."{ESCAPE}"]',
        f'{HEAD}check = ["{ESCAPE}"]',
        f'{HEAD}[[check]]\n"{ESCAPE}" = "x"',
        f'{HEAD}start = "{ESCAPE}"',
        f'{HEAD}report = ["{ESCAPE}"]',
        f'{HEAD}extends = "{ESCAPE}"',
        f'{HEAD}[[allow-failure]]\nselect = "*:*"\nreason = "{ESCAPE}"',
        f'{HEAD}artifacts = "{ESCAPE}"\nallow-failed = ["{ESCAPE}"]',
    ],
)
@pytest.mark.parametrize("what", ["--check", "--list", "--explain=*:*"])
def test_nothing_of_a_plan_reaches_the_terminal_as_it_is(
    here: Path, text: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "postroj.toml").write_text(text + "\n")
    assert execute(["test", what]) in (0, 2)
    told = "".join(capsys.readouterr())
    assert told and all(line.isprintable() for line in told.split("\n"))


def test_nothing_of_a_plan_is_an_option_of_another_program() -> None:
    text = f"{HEAD}allow-failed = ['--privileged', '$(touch owned)', 'a b']\nimages = ['debian-bookworm']"
    plan = cells(text)
    words = tasks.make(plan.all, plan)[0].job.command
    assert "--privileged" not in words
    assert {"--allow-failed=--privileged", "--allow-failed=$(touch owned)", "--allow-failed=a b"} <= set(words)
