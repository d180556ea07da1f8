"""A plan's cells, where the values of their options come from, and the command line that a cell becomes."""

import os
import tomllib
from pathlib import Path

import pytest

from postroj.errors import ImageError, UsageError
from postroj.plan.cells import Cells
from postroj.plan.file import read
from postroj.plan.layers import from_environment, variable
from postroj.plan.lines import line_of
from postroj.plan.model import Plan
from postroj.plan.select import looks_like_one, parse

from .plans import KEY, TWO, cells, debian, names, project, words


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    project(tmp_path)
    return tmp_path


def value(plan: Cells, name: str, key: str) -> object:
    (cell,) = plan.select([name])
    return plan.options(cell)[key].value


# cells


def test_a_byte_order_mark_is_nothing(tmp_path: Path) -> None:
    file = tmp_path / "postroj.toml"
    file.write_bytes(b"\xef\xbb\xbf" + b'images = ["debian-12"]')
    assert read(str(file))[0].plan.images == ("debian-12",)


def test_each_package_goes_into_each_image_of_its_format() -> None:
    plan = cells('packages = ["dist/"]\nimages = ["debian-12", "fedora-43", "archlinux"]')
    assert set(names(plan)) == {
        "debian-bookworm:agent", "fedora-43:agent", "archlinux:agent", "debian-bookworm:tool",
    }  # fmt: skip


def test_supported_are_images_that_are_not_past_their_support() -> None:
    images = {cell.image.name for cell in cells('packages = ["dist/tool_1.0_all.deb"]').all}
    assert {"debian-trixie", "ubuntu-noble"} <= images
    assert not {"debian-stretch", "fedora-43", "archlinux"} & images


@pytest.mark.parametrize(
    ("images", "told"),
    [
        ("debian-*", {"debian-bookworm", "debian-trixie"}),
        ("debian-1[23]", {"debian-bookworm", "debian-trixie"}),
        ("apt", {"debian-bookworm", "ubuntu-noble"}),
        ("debian-12", {"debian-bookworm"}),
    ],
)
def test_words_for_images(images: str, told: set[str]) -> None:
    found = {cell.image.name for cell in cells(f'packages = ["dist/tool*"]\nimages = ["{images}"]').all}
    assert told <= found and (len(told) > 1 or found == told)


def test_an_image_of_two_words_is_there_once() -> None:
    plan = cells('packages = ["dist/tool*"]\nimages = ["debian-12", "debian-bookworm", "debian-1[2]"]')
    assert names(plan) == ["debian-bookworm:tool"]


def test_of_a_glob_those_that_fit_are_taken_whatever_is_pulled(here: Path) -> None:
    """An image that is damaged is the matter of those who name it."""
    (here / "state/images").mkdir(parents=True)
    for name in ("fedora-43", "damaged"):
        (here / "state/images" / name).symlink_to("nowhere")
    assert names(cells('packages = ["dist/tool*"]\nimages = ["debian-12", "fedora-4*"]')) == ["debian-bookworm:tool"]
    with pytest.raises(ImageError, match="the image damaged is damaged"):
        assert cells('packages = ["dist/tool*"]\nimages = ["dam*"]').all


def test_names_of_packages_need_images_and_go_into_all_of_them() -> None:
    plan = cells('packages = ["webfs"]\nimages = ["debian-12", "fedora-43"]')
    assert names(plan) == ["debian-bookworm:webfs", "fedora-43:webfs"]


def test_the_newest_of_a_directory_is_taken(here: Path) -> None:
    (here / "dist/agent_2.1_all.deb").write_bytes(debian("agent", "2.1"))
    plan = cells(TWO.replace("*.deb", ""))
    assert "--package=./dist/agent_2.1_all.deb" in words(plan, "debian-12:agent")


def test_a_package_that_is_named_twice_is_one(here: Path) -> None:
    (here / "link.deb").symlink_to("dist/agent_2.0_all.deb")
    given = ("dist/agent_2.0_all.deb", "./dist/agent_2.0_all.deb", "dist/*.deb", f"{here}/dist/", "link.deb")
    plan = cells("", Plan(packages=given, images=("debian-12",)))
    assert sorted(names(plan)) == ["debian-bookworm:agent", "debian-bookworm:tool"]
    assert "--package=./dist/agent_2.0_all.deb" in words(plan, "*:agent")
    plan = cells("images = ['debian-12']\n[[package]]\nfiles = ['dist/agent_2.0_all.deb', 'dist/agent*.deb']\n")
    assert sum(word.startswith("--package=") for word in words(plan, "*:agent")) == 1


def test_packages_for_other_architectures_are_left_out(here: Path) -> None:
    (here / "dist/agent_2.0_s390x.deb").write_bytes(debian("agent", "2.0", "s390x"))
    assert names(cells(TWO)).count("debian-bookworm:agent") == 1
    with pytest.raises(UsageError, match="none of these packages is for this host"):
        assert cells('packages = ["dist/*s390x.deb"]').all


def test_variants_are_the_third_part_of_names() -> None:
    plan = cells(f"{TWO}[variant.plain]\n[variant.big]\nmemory = '1G'\n")
    assert "debian-bookworm:agent:plain" in names(plan) and len(names(plan)) == 8
    assert value(plan, "debian-12:tool:big", "memory") == "1G"


def test_a_table_has_the_package_that_is_found_otherwise_too(here: Path) -> None:
    plan = cells(f"{TWO}[[package]]\nfiles = ['dist/agent*']\nname = 'monitor'\nunits = ['a.service']\n")
    assert sorted(names(plan)) == sorted(
        f"{image}:{package}" for image in ("debian-bookworm", "debian-trixie") for package in ("monitor", "tool")
    )
    assert "--check-unit=a.service" in words(plan, "debian-12:monitor")
    assert "--check-unit=a.service" not in words(plan, "debian-12:tool")


def test_a_package_of_the_command_line_has_the_options_of_its_table(here: Path) -> None:
    (here / "other").mkdir()
    (here / "other/agent_3.0_all.deb").write_bytes(debian("agent", "3.0"))
    text = f"{TWO}[[package]]\nfiles = ['dist/agent*']\nname = 'monitor'\nunits = ['a.service']\n"
    plan = cells(text, Plan(packages=("other/", "dist/tool_1.0_all.deb")))
    found = words(plan, "debian-12:monitor")
    assert "--package=./other/agent_3.0_all.deb" in found and "--check-unit=a.service" in found
    assert "debian-bookworm:tool" in names(plan)


def test_a_table_of_several_packages_is_one_cell() -> None:
    plan = cells("images = ['debian-12']\n[[package]]\nname = 'all'\nfiles = ['dist/*.deb']")
    assert names(plan) == ["debian-bookworm:all"]
    assert sum(word.startswith("--package=") for word in words(plan, "debian-12:all")) == 2


def test_only_and_exclude() -> None:
    assert names(cells(f"only = ['debian-12:*']\n{TWO}")) == ["debian-bookworm:agent", "debian-bookworm:tool"]
    assert names(cells(f"exclude = ['*:tool', 'debian-13:*']\n{TWO}")) == ["debian-bookworm:agent"]
    # The command line has chosen less than the plan is for; an image is past its support.
    assert names(cells(f"exclude = ['debian-13:*']\n{TWO}", Plan(images=("debian-12",)))) == [
        "debian-bookworm:agent", "debian-bookworm:tool",
    ]  # fmt: skip
    assert len(names(cells(f"exclude = ['debian-9:*']\n{TWO}"))) == 4


@pytest.mark.parametrize(
    ("selector", "count"), [("*", 4), ("debian-12", 2), ("debian-bookworm:tool", 1), ("*:a*", 2), ("*:*:*", 4)]
)
def test_selectors(selector: str, count: int) -> None:
    assert len(cells(TWO).select([selector])) == count


@pytest.mark.parametrize("selector", ["fedora:43", "fedora:43:*", "fedora:43:agent", "fedora:43:agent:small"])
def test_cells_of_a_reference_are_selected_by_it(selector: str) -> None:
    plan = cells("packages = ['dist/agent*']\nimages = ['fedora:43', 'fedora-43']\n[variant.small]\n")
    (cell,) = plan.select([selector])
    assert cell.name.startswith("fedora-43-") and cell.image.reference == "fedora:43"
    assert [one.image.name for one in plan.select(["fedora-43:*"])] == ["fedora-43"]


@pytest.mark.parametrize(
    ("image", "selector", "hint"),
    [("fedora:43", "fedora-43:*", "fedora:43:*"), ("fedora-43", "fedora:43:agent", "fedora-43:agent")],
)
def test_the_selector_that_is_meant_is_told(image: str, selector: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        cells(f"packages = ['dist/agent*']\nimages = ['{image}']\n").select([selector])
    assert caught.value.hint == f"did you mean {hint}?"


def test_an_image_is_given_the_packages_of_its_distribution_before_it_is_pulled(here: Path) -> None:
    (here / "tree/usr/bin").mkdir(parents=True)
    (here / "tree/usr/bin/apt-get").touch()
    plan = cells("packages = ['dist/agent*']\nimages = ['docker://fedora:43', './tree']\n")
    assert [cell.entry.format for cell in plan.all] == ["rpm", "deb"]


def test_an_image_that_may_install_several_formats_needs_packages_of_one() -> None:
    with pytest.raises(UsageError, match="it is not known whether it installs arch or rpm") as caught:
        names(cells("packages = ['dist/agent*']\nimages = ['example:43']\n"))
    assert caught.value.hint.startswith("run `postroj pull example:43` first")


def test_a_selector_of_the_command_line_selects_something() -> None:
    with pytest.raises(UsageError, match=r"no cell is selected by '\*:agnet'"):
        cells(TWO).select(["*:*", "*:agnet"])


def test_what_is_a_selector_and_what_a_package() -> None:
    assert looks_like_one("debian-*:*") and looks_like_one("*:a:b")
    assert not any(map(looks_like_one, ("dist/", "./a:b.deb", "https://x/a.deb", "webfs", "a_1:2_all.deb/")))
    assert parse("a").package == "*"


# values


def test_what_goes_before_what(here: Path) -> None:
    """File < extends < [[package]] < variant < override < environment < command line."""
    (here / "base.toml").write_text("timeout = 1\nmemory = '1M'\ntasks = 100\n[variant.v]\ntimeout = 1")
    parts = [
        "extends = 'base.toml'\nimages = ['debian-12']\n",
        "timeout = 2\n",
        "[[package]]\nfiles = ['dist/tool*']\ntimeout = 3\n",
        "[variant.v]\ntimeout = 4\n",
        "[[override]]\nselect = '*:tool'\ntimeout = 5\n[[override]]\nselect = '*:*'\ntimeout = 6\n",
    ]
    tables = "[[package]]\nfiles = ['dist/tool*']\n", "", "[[override]]\nselect = '*:tool'\n"
    base = parts[0] + tables[0]
    assert value(cells(base), "*:tool", "timeout") == 1
    assert value(cells(parts[0] + parts[1] + tables[0]), "*:tool", "timeout") == 1  # the base's variant
    (here / "base.toml").write_text("timeout = 1\nmemory = '1M'\ntasks = 100\n")
    assert value(cells(parts[0] + tables[0]), "*:tool", "timeout") == 1
    assert value(cells(parts[0] + parts[1] + tables[0]), "*:tool", "timeout") == 2
    assert value(cells("".join(parts[:3])), "*:tool", "timeout") == 3
    assert value(cells("".join(parts[:4])), "*:tool", "timeout") == 4
    assert value(cells("".join(parts[:5])), "*:tool", "timeout") == 6
    environment = from_environment({"POSTROJ_TIMEOUT": "7", "POSTROJ_ALLOW_FAILED": "a 'b c'", "POSTROJ_OFFLINE": "1"})
    assert value(cells("".join(parts), environment=environment), "*:tool", "timeout") == 7
    plan = cells("".join(parts), Plan(timeout=8.0), environment)
    assert value(plan, "*:tool", "timeout") == 8
    assert value(plan, "*:tool", "memory") == "1M"
    assert value(plan, "*:tool", "allow-failed") == ("a", "b c")
    (cell,) = plan.all
    origins = {key: one.origins for key, one in plan.options(cell).items()}
    assert origins["timeout"] == ("command line, --timeout",)
    assert origins["allow-failed"] == ("environment variable POSTROJ_ALLOW_FAILED",)
    assert origins["memory"] == ("base.toml:2",)
    assert origins["phases"] == ("default",)


def test_lists_replace_and_are_added_where_it_is_said() -> None:
    text = f"units = ['a']\nallow = ['stops-service']\n{TWO}[[override]]\nselect = 'debian-12:*'\nunits = ['b']\n"
    assert value(cells(text), "debian-12:tool", "units") == ("b",)
    plan = cells(f"{text}inherit = ['units']\n")
    assert value(plan, "debian-12:tool", "units") == ("a", "b")
    assert value(plan, "debian-13:tool", "units") == ("a",)
    (cell,) = plan.select(["debian-12:tool"])
    assert plan.options(cell)["units"].origins == ("postroj.toml:1", "postroj.toml:7")


def test_paths_are_relative_to_the_file_that_names_them(here: Path) -> None:
    """Those of lists that are added as well."""
    (here / "sub").mkdir()
    for place, name in (("sub/old", "agent"), ("old", "tool")):
        (here / place).mkdir()
        (here / place / f"{name}_0.1_all.deb").write_bytes(debian(name, "0.1"))
    (here / "sub/key.asc").write_text(KEY)
    (here / "sub/base.toml").write_text(
        "packages = ['../dist/*.deb']\nwith = ['old/']\nrepo-key = ['key.asc']\nrepo = ['https://example.org/ ./']\n"
    )
    extra = "repo-key = ['key.asc']\nwith = ['old/']\ninherit = ['with', 'repo-key']"
    text = f"extends = 'sub/base.toml'\nimages = ['debian-12']\n[[override]]\nselect = '*:*'\n{extra}"
    found = words(cells(text), "*:tool")
    assert [word for word in found if word.startswith("--with=")] == [
        "--with=./sub/old/agent_0.1_all.deb", "--with=./old/tool_0.1_all.deb"
    ]  # fmt: skip
    assert {"--repo-key=sub/key.asc", "--repo-key=key.asc"} <= set(found)
    assert "--package=./dist/tool_1.0_all.deb" in found
    os.chdir("sub")
    plan = Cells(read("../postroj.toml"), Plan(), Plan())
    assert "--package=../dist/tool_1.0_all.deb" in words(plan, "*:tool")


def test_a_plan_in_pyproject_is_the_same(here: Path) -> None:
    (here / "pyproject.toml").write_text(
        "[project]\nname = 'x'\n[tool.postroj]\npackages = ['dist/tool*']\nimages = ['debian-12']\n"
        "[[tool.postroj.override]]\nselect = '*:*'\n\ntimeout = 5\n"
    )
    plan = Cells(read("pyproject.toml"), Plan(), Plan())
    (cell,) = plan.all
    assert plan.options(cell)["timeout"].origins == ("pyproject.toml:9",)


def test_the_reason_why_a_cell_may_fail() -> None:
    plan = cells(f"{TWO}[[allow-failure]]\nselect = ['debian-13:agent']\nreason = 'not yet'\n")
    assert {cell.name: plan.allowed(cell) for cell in plan.all if plan.allowed(cell)} == {
        "debian-trixie:agent": "not yet"
    }


def test_the_reason_of_a_plan_goes_before_that_of_one_that_it_extends(here: Path) -> None:
    tolerated = "[[allow-failure]]\nselect = '*:*'\nreason = "
    (here / "base.toml").write_text(f"{tolerated}'general'\n")
    plan = cells(f"extends = 'base.toml'\n{TWO}{tolerated.replace('*:*', '*:tool')}'its own'\n")
    assert {cell.entry.name: plan.allowed(cell) for cell in plan.all} == {"agent": "general", "tool": "its own"}


def test_variables() -> None:
    assert variable("stay-active") == "POSTROJ_STAY_ACTIVE"
    assert from_environment({"POSTROJ_STATE_DIR": "/x", "POSTROJ_EXTENDS": "y", "POSTROJ_PACKAGE": "z"}) == Plan()
    given = {"POSTROJ_JOBS": "4", "POSTROJ_STAY_ACTIVE": "2.5", "POSTROJ_PRIVILEGED": "false", "POSTROJ_IMAGES": "a b"}
    plan = from_environment(given)
    assert (plan.jobs, plan.stay_active, plan.privileged, plan.images) == (4, 2.5, False, ("a", "b"))


# lines


TEXT = """\
packages = [
  "a = b",
]  # 3
[variant."x.y"]  # 4
timeout = 1
[[override]]  # 6
select = '''
timeout = 5
'''
timeout = 6  # 10
[[override]]
"timeout" = 6  # 12
  [[override.check]]
  http = "x"
  [[override.check]]
  http = "y"  # 16
[a . b]
c.d = 1  # 18
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("packages",), 1),
        (("packages", 1), 1),
        (("variant", "x.y", "timeout"), 5),
        (("variant", "x.y", "units"), 4),
        (("override", 0), 6),
        (("override", 0, "timeout"), 10),
        (("override", 1, "timeout"), 12),
        (("override", 1, "units"), 11),
        (("override", 1, "check", 1), 15),
        (("override", 1, "check", 1, "http"), 16),
        (("override", 5, "timeout"), 0),
        (("a", "b", "c", "d"), 18),
        (("none",), 0),
    ],
)
def test_lines(path: tuple[str | int, ...], line: int) -> None:
    tomllib.loads(TEXT)
    assert line_of(TEXT, path) == line
