"""A cell as the command line of pkgprobe, as a task, in lists; and the first plan that --init writes."""

import json
import os
import tomllib
from pathlib import Path

import pytest

from postroj.cli import build_parser, execute
from postroj.errors import PostrojError, UsageError
from postroj.matrix import tasks
from postroj.matrix.history import History
from postroj.matrix.outcome import Outcome, Verdict
from postroj.plan import listing
from postroj.plan.command import Lacking, command
from postroj.plan.layers import from_environment
from postroj.plan.model import Plan

from . import rpmfile
from .plans import KEY, TWO, cells, debian, names, project, words


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    project(tmp_path)
    return tmp_path


# the command of a cell


def test_the_command_of_a_cell() -> None:
    text = f"""
{TWO}
upgrade-from = ["previous/"]
with = ["dist/agent*"]
units = ["agent.service"]
check = ["tcp localhost:80"]
offline = true
privileged = false
stay-active = 0
timeout = 100
start = "never"
[[check]]
"""
    text = text.replace('check = ["tcp localhost:80"]\n', "")
    text += 'http = "http://localhost/a"\nstatus = 200\nbody = {matches = "o\'k", not = "$(x)"}\nverify = false\n'
    plan = cells(text)
    found = words(plan, "debian-12:agent")
    assert found[:4] == ["pkgprobe", "--image=debian-bookworm", "--package=./dist/agent_2.0_all.deb", "--lifecycle"]
    assert {
        "--upgrade-from=./previous/agent_1.0_all.deb", "--with=./dist/agent_2.0_all.deb", "--check-unit=agent.service",
        "--offline", "--stay-active=0", "--timeout=100", "--start=never",
    } <= set(found)  # fmt: skip
    assert "--privileged" not in found
    (check,) = [word for word in found if word.startswith("--check=")]
    assert check == ("--check=http http://localhost/a status=200 'body~=o'\"'\"'k' 'body!=$(x)' verify=no")
    assert not any(word.startswith("--upgrade-from") for word in words(plan, "debian-12:tool"))


def test_what_is_installed_with_a_package_has_its_format(here: Path) -> None:
    made = rpmfile.package(rpmfile.good("agent", "1.0", arch="noarch"))
    (here / "previous/agent-1.0-1.noarch.rpm").write_bytes(made)
    plan = cells("packages = ['dist/']\nimages = ['debian-12', 'fedora-43']\nupgrade-from = ['previous/']\n")
    for image, file in (("debian-12", "agent_1.0_all.deb"), ("fedora-43", "agent-1.0-1.noarch.rpm")):
        found = [word for word in words(plan, f"{image}:agent") if word.startswith("--upgrade-from")]
        assert found == [f"--upgrade-from=./previous/{file}"]


def test_the_earlier_release_is_the_newest_that_is_older(here: Path) -> None:
    """A maintainer has all releases in one directory."""
    for version in ("0.9", "1.5", "2.0", "3.0"):
        (here / f"previous/agent_{version}_all.deb").write_bytes(debian("agent", version))
    for version, expected in (("2.0", "1.5"), ("3.0", "2.0"), ("1.0", "0.9")):
        text = (
            f"packages = ['previous/agent_{version}_all.deb']\nimages = ['debian-12']\nupgrade-from = ['previous/']\n"
        )
        found = [word for word in words(cells(text), "*:agent") if word.startswith("--upgrade-from")]
        assert found == [f"--upgrade-from=./previous/agent_{expected}_all.deb"]


def test_an_earlier_release_is_for_phases_that_upgrade() -> None:
    text = f"upgrade-from = ['previous/']\nphases = ['install', 'check']\n{TWO}"
    assert not any(word.startswith("--upgrade-from") for word in words(cells(text), "debian-12:agent"))
    assert "--phase=check" in words(cells(text), "debian-12:agent")


def test_the_package_cache() -> None:
    """The variable bounds it for all; a plan, or the command line, does without."""
    environment = from_environment({"POSTROJ_CACHE_SIZE": "3G"})
    for text, given, found in (
        (TWO, Plan(), {"--cache-size=3G"}),
        (f"no-cache = true\n{TWO}", Plan(), {"--no-cache"}),
        (f"no-cache = true\n{TWO}", Plan(no_cache=False, cache_size="1G"), {"--cache-size=1G"}),
    ):
        told = words(cells(text, given, environment), "debian-12:agent")
        assert {word for word in told if "cache" in word} == found


@pytest.mark.parametrize("key", ["upgrade-from", "baseline", "with"])
@pytest.mark.parametrize("where", ["", "[[override]]\nselect = '*'\n"])
def test_offline_is_for_all_packages_of_a_cell(key: str, where: str) -> None:
    plan = cells(f"{TWO}{key} = ['http://localhost:9/agent_1.0_all.deb']\n{where}offline = true\n")
    with pytest.raises(PostrojError, match="--offline"):
        words(plan, "debian-12:agent")


def test_offline_is_for_the_packages_of_a_table() -> None:
    table = "[[package]]\nfiles = ['http://localhost:9/agent_1.0_all.deb']\noffline = true\n"
    with pytest.raises(PostrojError, match="--offline"):
        names(cells(f"images = ['debian-12']\n{table}"))


def test_each_option_is_one_of_pkgprobe() -> None:
    text = f"""
{TWO}
phases = ["install", "check", "upgrade"]
upgrade-from = ["previous/"]
baseline = ["previous/"]
with = ["dist/tool*"]
units = ["a.service"]
check = ["tcp localhost:80"]
start = "auto"
expect-enabled = true
allow = ["stops-service"]
allow-failed = ["x*"]
stay-active = 1.5
network-timeout = 2
timeout = 3
offline = true
repo = ["https://example.org/debian ./"]
repo-key = ["key.asc"]
repo-unsigned = ["https://example.org/other ./"]
network = "none"
privileged = true
capability = ["CAP_SYS_TIME"]
memory = "1G"
cpus = 2
tasks = 100
disk = "1G"
"""
    found = words(cells(text), "debian-12:agent")
    args = build_parser(found).parse_args(found)
    assert (args.memory, args.tasks, args.check_unit, args.phase[2]) == (1 << 30, 100, ["a.service"], "upgrade")
    assert set(cells(text).options(cells(text).all[0])) == {
        key for key in tomllib.loads(text) if key not in ("packages", "images")
    }


def test_a_cell_is_a_task_with_logs_of_its_own(here: Path) -> None:
    plan = cells(f"timeout = 7\n{TWO}[variant.v]\n")
    made = tasks.make(plan.all, plan, artifacts="logs")
    assert made[0].job.cell == "debian-bookworm:agent:v"
    assert made[0].job_of(1).command[-1] == "--artifacts=logs/debian-bookworm/agent/v"
    assert made[0].job.timeout == 7 and made[0].job.command[-1] == "--report=json"


def test_files_are_carried_to_other_hosts(here: Path) -> None:
    plan = cells(f"{TWO}repo-key = ['key.asc']\nrepo = ['https://example.org/ ./']")
    job = tasks.make(plan.all, plan, carry=True)[0].job
    # By their absolute paths; what the command calls by a relative one is found from a directory of the same name.
    package = here / "dist/agent_2.0_all.deb"
    assert job.files == {str(here / "key.asc"): KEY.encode(), str(package): package.read_bytes()}
    assert {"--package=./dist/agent_2.0_all.deb", "--repo-key=key.asc"} <= set(job.command)


# lists


def test_lists_of_cells(capsys: pytest.CaptureFixture[str]) -> None:
    plan = cells(f"{TWO}[[allow-failure]]\nselect = 'debian-13:*'\nreason = 'not yet'\n")
    listed = json.loads("\n".join(listing.FORMATS["json"](plan.all, plan)))
    assert [one["cell"] for one in listed] == names(plan)
    one = next(one for one in listed if one["cell"] == "debian-trixie:tool")
    assert one["command"][:3] == ["postroj", "pkgprobe", "--image=debian-trixie"]
    assert (one["image"], one["package"], one["allowed_failure"]) == ("debian-trixie", "tool", "not yet")
    assert execute(["test", "--list"]) == 0
    assert capsys.readouterr().out.splitlines() == names(plan)
    assert execute(["test", "--list", "--shard=2/3"]) == 0
    assert capsys.readouterr().out.splitlines() == names(plan)[1::3]


def test_what_the_values_of_a_cell_are_and_where_they_are_from(capsys: pytest.CaptureFixture[str]) -> None:
    cells(f"timeout = 5\n{TWO}[[allow-failure]]\nselect = 'debian-13:*'\nreason = 'not yet'\n")
    assert execute(["test", "--explain=debian-13:tool"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "debian-trixie:tool",
        "  package = ./dist/tool_1.0_all.deb",
        "  image = debian-trixie",
        '  phases = ["lifecycle"]    (default)',
        "  timeout = 5.0    (postroj.toml:1)",
        "  may fail: not yet",
    ]


def test_words_are_taken_wherever_they_stand(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "test",
        "dist/tool_1.0_all.deb",
        "--image=debian-12",
        "*:*",
        "--list",
        "--timeout=60",
        "dist/agent_2.0_all.deb",
    ]
    assert execute(words) == 0
    assert sorted(capsys.readouterr().out.split()) == ["debian-bookworm:agent", "debian-bookworm:tool"]
    assert execute(["test", "--list", "dist/tool_1.0_all.deb", "--image=debian-12"]) == 0
    assert capsys.readouterr().out.split() == ["debian-bookworm:tool"]
    assert execute(["test", "--check", "dist/tool_1.0_all.deb", "--image=debian-12"]) == 0
    assert capsys.readouterr().out == "the command line is right: 1 cell\n"
    check = "file /etc/agent.conf"
    assert execute(["test", "--check", check, "--list", "json", "dist/tool_1.0_all.deb", "--image=debian-12"]) == 0
    assert f"--check={check}" in json.loads(capsys.readouterr().out)[0]["command"]
    with pytest.raises(SystemExit):
        execute(["test", "--list=dist/"])
    assert "argument --list: invalid choice: 'dist/'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        execute(["test", "dist/", "--lst", "*:*"])
    assert "unknown options: --lst *:*: did you mean --list?" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["debian-12", "debian-bookworm", "*-bookworm", "debian-12:*"])
def test_a_selector_may_be_the_name_of_an_image(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    cells(TWO)
    assert execute(["test", "--list", word]) == 0
    assert capsys.readouterr().out.split() == ["debian-bookworm:agent", "debian-bookworm:tool"]


def test_a_file_that_is_called_as_an_image_is_a_package(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "debian-12").mkdir()
    (here / "debian-12/tool_1.0_all.deb").write_bytes(debian("tool"))
    assert execute(["test", "--list", "debian-12", "--image=debian-13"]) == 0
    assert capsys.readouterr().out.split() == ["debian-trixie:tool"]


def test_a_directory_of_logs_that_can_be_none_is_told_before_anything_runs(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "logs").mkdir()
    (here / "logs/debian-trixie").touch()
    cells(TWO)
    for what in (["--check"], []):
        assert execute(["test", "--artifacts=logs", *what]) == 2
        assert f"names no directory: {here}/logs/debian-trixie is none" in capsys.readouterr().err


def test_those_that_failed_are_none(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postroj.cli.test.require_root", lambda: None)
    all_cells = cells(TWO).all
    assert execute(["test", "--failed"]) == 2
    assert "no cell has been run here yet" in capsys.readouterr().err
    History("postroj.toml").note([Outcome(cell, Verdict.PASSED) for cell in all_cells[1:]])
    assert execute(["test", "--failed", "--report=text", "--report=junit=junit.xml"]) == 0
    told = "PASSED: 0 cells (no cell of these has failed when it last ran), "
    assert capsys.readouterr().out.splitlines()[-1].startswith(told) and (here / "junit.xml").exists()
    assert execute(["test", "--failed", "--list"]) == 0
    assert capsys.readouterr().out == ""
    History("postroj.toml").note([Outcome(all_cells[1], Verdict.FAILED)])
    assert execute(["test", "--failed", "--list"]) == 0
    assert capsys.readouterr().out == f"{all_cells[1].name}\n"


# --init


@pytest.mark.parametrize("given", [[], ["dist/"], ["dist/tool_1.0_all.deb"]])
def test_a_first_plan_is_right(given: list[str], capsys: pytest.CaptureFixture[str], here: Path) -> None:
    assert execute(["test", "--init", *given]) == 0
    assert execute(["test", "--check"]) == 0
    assert "postroj.toml is right: " in capsys.readouterr().out
    text = (here / "postroj.toml").read_text()
    told = text.replace("#[", "[")
    told = "\n".join(
        line.removeprefix("#") if line[:1] == "#" and line[1:2] != " " else line for line in told.split("\n")
    )
    assert {"override", "allow-failure", "check", "timeout"} <= set(tomllib.loads(told))
    assert execute(["test", "--init"]) == 2
    assert (here / "postroj.toml").read_text() == text


def test_what_is_commented_out_in_a_first_plan_is_right_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["test", "--init"]) == 0
    lines = (here / "postroj.toml").read_text().split("\n")
    lines = [line[1:] if line[:1] == "#" and line[1:2] not in (" ", "") else line for line in lines]
    (here / "postroj.toml").write_text("\n".join(lines))
    assert execute(["test", "--check"]) == 0, capsys.readouterr().err


def test_a_first_plan_has_names_as_they_are(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strange = 'a"b\\c é\x7f\n'
    (here / strange).mkdir()
    (here / strange / "tool_1.0_all.deb").write_bytes(debian("tool"))
    assert execute(["test", "--init", f"./{strange}/"]) == 0
    assert tomllib.loads((here / "postroj.toml").read_text())["packages"] == [f"./{strange}/"]
    assert execute(["test", "--check"]) == 0, capsys.readouterr().err


def test_a_first_plan_tells_what_it_comes_to(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "state/images").mkdir(parents=True)
    (here / "state/images/debian-bookworm").symlink_to("nowhere")
    assert execute(["test", "--init", "dist/", "--image=debian-12", "--image=debian-13"]) == 0
    told = (
        "postroj.toml is written: 4 cells in 2 images, of which 1 will be downloaded (name fewer in `images` for less)"
    )
    assert capsys.readouterr().out == f"{told}; `postroj test --list` shows its cells\n"
    assert tomllib.loads((here / "postroj.toml").read_text())["images"] == ["debian-12", "debian-13"]


@pytest.mark.parametrize("words", [["empty/"], ["webfs"], ["dist/tool*", "--image=fedora-43"], ["--plan=none/x.toml"]])
def test_no_first_plan_is_written_that_is_wrong(words: list[str], here: Path) -> None:
    (here / "empty").mkdir()
    assert execute(["test", "--init", *words]) == 2
    assert not list(here.glob("*.toml"))


def test_a_first_plan_of_another_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "ci").mkdir()
    words = ["dist/*.deb", f"{here}/dist/tool_1.0_all.deb", "--image=debian-12"]
    assert execute(["test", "--init", "--plan=ci/a plan.toml", *words]) == 0
    assert "`postroj test --plan='ci/a plan.toml' --list` shows its cells" in capsys.readouterr().out
    written = tomllib.loads((here / "ci/a plan.toml").read_text())
    assert written["packages"] == ["../dist/*.deb", f"{here}/dist/tool_1.0_all.deb"]
    assert execute(["test", "--plan=ci/a plan.toml", "--list"]) == 0
    assert capsys.readouterr().out.split() == ["debian-bookworm:agent", "debian-bookworm:tool"]
    assert execute(["test", "--init", "--plan=ci/pyproject.toml", "dist/"]) == 2


def test_a_name_that_no_plan_can_have(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["test", "--init", os.fsdecode(b"./caf\xe9/")]) == 2
    assert "is not UTF-8, and cannot be in a plan" in capsys.readouterr().err
    assert not (here / "postroj.toml").exists()


def test_nothing_to_begin_with(here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "empty/empty").mkdir(parents=True)
    monkeypatch.chdir(here / "empty/empty")
    assert execute(["test", "--init"]) == 2
    assert execute(["test"]) == 2
    told = capsys.readouterr().err
    assert "there are no packages here" in told and "there is no plan here" in told
    assert not os.listdir(".")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('phases = ["install"]\ncheck = ["file /x"]\n', "postroj.toml:3: phases: checks are asked for, and none of"),
        ('phases = ["install"]\nunits = ["x.service"]\n', "postroj.toml:3: phases: units are named, and none of the"),
    ],
)
def test_what_no_phase_looks_at_is_a_mistake(text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        words(cells(TWO + text), "debian-12:agent")
    assert told in caught.value.what


def test_a_directory_with_the_package_itself_in_it_has_no_earlier_release_of_it() -> None:
    found = words(cells(f'{TWO}baseline = ["dist/"]\n'), "debian-12:agent")
    assert not [word for word in found if word.startswith("--baseline")]


# virtual machines


def test_containers_and_virtual_machines_in_one_plan() -> None:
    """A variant has both; an override has a VM for some cells."""
    plan = cells(f"{TWO}[variant.container]\n[variant.vm]\nvm = true\n")
    assert {name.rpartition(":")[2] for name in names(plan)} == {"container", "vm"}
    assert "--vm" in words(plan, "debian-12:agent:vm")
    assert "--vm" not in words(plan, "debian-12:agent:container")
    plan = cells(f"network = 'private'\n{TWO}[[override]]\nselect = '*:tool'\nvm = true\n")
    assert "--vm" in words(plan, "debian-12:tool")
    assert "--vm" not in words(plan, "debian-12:agent")


def test_options_that_a_virtual_machine_does_not_have() -> None:
    plan = cells(f"memory = '1G'\n{TWO}[[override]]\nselect = '*:tool'\nvm = true\n")
    with pytest.raises(
        UsageError, match=r"postroj.toml:1: memory: a VM has a kernel .*: debian-bookworm:tool"
    ) as found:
        words(plan, "debian-12:tool")
    assert "vm is set in postroj.toml:" in found.value.hint
    assert "--memory=1G" in words(plan, "debian-12:agent")


def test_options_that_an_image_of_a_virtual_machine_does_not_have() -> None:
    """Which is one without `vm`."""
    plan = cells(f"memory = '1G'\n{TWO}")
    (cell,) = plan.select(["debian-12:tool"])
    cell = cell._replace(image=cell.image._replace(is_vm=True))
    with pytest.raises(UsageError, match=r"memory: a VM has a kernel .*: debian-bookworm:tool") as found:
        command(cell, plan.options(cell), Lacking())
    assert found.value.hint == "debian-bookworm is a virtual machine"


def test_a_provider_is_a_virtual_machine() -> None:
    plan = cells(f"provider = 'libvirt'\n{TWO}")
    assert "--provider=libvirt" in words(plan, "debian-12:tool")
    plan = cells(f"provider = 'libvirt'\ntasks = 100\n{TWO}")
    with pytest.raises(UsageError, match="tasks: a VM has a kernel and a network of its own") as found:
        words(plan, "debian-12:tool")
    assert "provider is set in postroj.toml:" in found.value.hint
    with pytest.raises(UsageError, match="xen"):
        cells(f"provider = 'xen'\n{TWO}")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("network", "'none'"), ("privileged", "true"), ("capability", "['CAP_SYS_TIME']"), ("tasks", "100"),
        ("cpus", "1.0"), ("disk", "'1G'"),
    ],
)  # fmt: skip
def test_a_vm_has_none_of_what_isolates_a_container(key: str, value: str) -> None:
    plan = cells(f"{key} = {value}\nvm = true\n{TWO}")
    with pytest.raises(UsageError, match=f"{key}: a VM has a kernel and a network of its own"):
        words(plan, "debian-12:tool")
