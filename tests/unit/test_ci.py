"""The action and the template: their steps are run as the CI systems run them; what users write reaches no shell."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from postroj.errors import UsageError
from postroj.plan.layers import from_environment
from postroj.plan.listing import FORMATS

from .plans import cells, names, project

ROOT = Path(__file__).parent.parent.parent
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
TEMPLATE = yaml.safe_load((ROOT / "templates/postroj.gitlab-ci.yml").read_text())
DOCS = (ROOT / "docs/ci.md").read_text()
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)]
TEXT = 'packages = ["dist/*.deb"]\nimages = ["debian-bookworm", "debian-trixie"]\n'
HOSTILE = "$(touch owned) `touch owned`; touch owned"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    project(tmp_path / "work")
    return tmp_path


@pytest.fixture
def action(here: Path) -> Path:
    """What GITHUB_ACTION_PATH is: this program is in its .venv."""
    program = here / "action/.venv/bin/postroj"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m postroj "$@"\n')
    program.chmod(0o755)
    sudo = here / "action/bin/sudo"
    sudo.parent.mkdir()
    sudo.write_text('#!/bin/sh\n[ "$1" != -E ] || shift\nexec "$@"\n')
    sudo.chmod(0o755)
    return here / "action"


def step(name: str) -> dict[str, Any]:
    return next(step for step in STEPS if step["name"] == name)


def run(name: str, inputs: Mapping[str, str], action: Path) -> "subprocess.CompletedProcess[str]":
    """Run a step as GitHub does: expressions of `env` are replaced, and `run` is a script of bash."""
    (output := action / "output").touch()

    def replaced(match: re.Match[str]) -> str:
        return inputs.get(match[1].removeprefix("inputs."), "")

    env = {key: re.sub(r"\$\{\{ (.*?) \}\}", replaced, value) for key, value in step(name).get("env", {}).items()}
    told = {"GITHUB_ACTION_PATH": str(action), "GITHUB_OUTPUT": str(output), "RUNNER_TEMP": str(action)}
    words = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step(name)["run"]]
    env |= {"RUNNER_OS": "Linux", "RUNNER_ARCH": "X64", "PATH": f"{action}/bin:{os.environ['PATH']}", **told}
    return subprocess.run(words, env={**os.environ, **env}, capture_output=True, text=True, check=False)


def output(action: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in (action / "output").read_text().splitlines())


def test_no_expression_is_in_a_script() -> None:
    """What users write would be run by the shell."""
    scripts = [step["run"] for step in STEPS if "run" in step]
    assert len(scripts) >= 4 and not any("${{" in script for script in scripts)
    assert all(step["shell"] == "bash" for step in STEPS if "run" in step)
    for block in BLOCKS:
        for name, job in (block.get("jobs") or {}).items():
            assert not any("${{" in one.get("run", "") for one in job["steps"]), name


def test_only_actions_of_github_are_used() -> None:
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert used == ["actions/cache/restore@v4", "actions/cache/save@v4"]


def test_each_input_is_used_and_each_that_is_used_is_there() -> None:
    used = set(re.findall(r"inputs\.(\w+)", (ROOT / "action.yml").read_text()))
    assert used == set(ACTION["inputs"])
    assert all(one["description"] for one in ACTION["inputs"].values())
    ids = {step["id"] for step in STEPS if "id" in step}
    assert set(re.findall(r"steps\.(\w+)\.", (ROOT / "action.yml").read_text())) <= ids


def test_each_variable_of_the_steps_is_one_of_a_plan() -> None:
    for variables in (*(step.get("env", {}) for step in STEPS), TEMPLATE[".postroj"]["variables"]):
        for name in variables:
            if name.startswith("POSTROJ_") and name not in ("POSTROJ_SOURCE", "POSTROJ_STATE_DIR"):
                assert from_environment({name: "x"}) != from_environment({}), name


def test_the_steps_list_the_cells_as_a_matrix(action: Path) -> None:
    Path("postroj.toml").write_text(TEXT)
    done = run("List the cells", {}, action)
    assert (done.returncode, done.stderr) == (0, "")
    matrix = json.loads(output(action)["matrix"])
    assert set(matrix) == {"include"}
    assert [one["cell"] for one in matrix["include"]] == names(cells(TEXT))
    assert matrix["include"][0] == {
        "cell": "debian-bookworm:agent", "image": "debian-bookworm", "package": "agent", "variant": "",
    }  # fmt: skip


def test_inputs_choose(action: Path) -> None:
    """Without a plan, and with one of another name."""
    inputs = {"packages": "dist/*.deb", "images": "debian-12\ndebian-13", "cells": "*:tool"}
    assert run("List the cells", inputs, action).returncode == 0
    assert [one["cell"] for one in json.loads(output(action)["matrix"])["include"]] == [
        "debian-bookworm:tool", "debian-trixie:tool",
    ]  # fmt: skip
    Path("a plan.toml").write_text(TEXT)
    (action / "output").unlink()
    assert run("List the cells", {"plan": "a plan.toml", "cells": "debian-12:tool"}, action).returncode == 0
    assert len(json.loads(output(action)["matrix"])["include"]) == 1


def test_a_mistake_fails_the_step(action: Path) -> None:
    done = run("List the cells", {"packages": "none/"}, action)
    assert done.returncode == 2 and "matrix" not in output(action)
    assert "POSTROJ_PACKAGES: " in done.stderr


@pytest.mark.parametrize("input", [name for name in ACTION["inputs"] if name not in ("list", "cache")])
def test_no_input_is_run(input: str, action: Path, here: Path) -> None:
    Path("postroj.toml").write_text(TEXT)
    for name in ("List the cells", "Name what is kept", "Test"):
        run(name, {"cells": "none:*", input: HOSTILE}, action)
    assert not list(here.rglob("owned"))


def test_what_is_kept_is_named_by_what_is_tested(action: Path) -> None:
    found = set()
    for images in ("debian-12", "debian-13"):
        (action / "output").unlink(missing_ok=True)
        assert run("Name what is kept", {"images": images}, action).returncode == 0
        found.add(output(action)["key"])
        assert re.fullmatch(r"postroj-Linux-X64-[0-9a-f]{16}-\d{4}-\d\d", output(action)["key"])
    for text in ("timeout = 1", "timeout = 2"):
        (action / "output").unlink()
        Path("postroj.toml").write_text(text)
        assert run("Name what is kept", {"images": images}, action).returncode == 0
        found.add(output(action)["key"])
    assert len(found) == 4


def test_github_has_256_jobs_at_most() -> None:
    variants = "".join(f"[variant.v{number}]\n" for number in range(64))
    plan = cells(f"{TEXT}{variants}")
    assert len(json.loads(FORMATS["github"](plan.all, plan)[0])["include"]) == 256
    plan = cells(f"{TEXT}{variants}[variant.more]")
    with pytest.raises(UsageError, match="these are 260 cells, and 256 jobs are the most"):
        FORMATS["github"](plan.all, plan)


def test_jobs_of_gitlab_are_called_as_the_cells() -> None:
    """docs.gitlab.com: 255 characters at most, none of the reserved words; `.` begins what is hidden."""
    plan = cells(TEXT)
    jobs = yaml.safe_load("\n".join(FORMATS["gitlab"](plan.all, plan)))
    assert jobs.pop("include") == [{"local": "/postroj.gitlab-ci.yml"}]
    assert list(jobs) == names(plan)
    for name, job in jobs.items():
        assert ":" in name and name[0] != "." and len(name) <= 255 and name != "pages:deploy"
        assert job == {"extends": ".postroj", "variables": {"POSTROJ_ONLY": name}}
        assert names(cells(TEXT, environment=from_environment(job["variables"]))) == [name]
    long = f"{TEXT}[variant.{'v' * 90}]\n[[package]]\nfiles = ['dist/tool*']\nname = '{'p' * 100}'\n"
    plan = cells(long)
    assert FORMATS["gitlab"](plan.all, plan)


def test_a_job_finds_what_an_earlier_one_has_left(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell executor has no container that is thrown away; git and postroj's programs are stand-ins."""
    work, programs = here / "work", here / "bin"
    programs.mkdir()
    (programs / "apt-get").write_text("#!/bin/sh\n")
    (programs / "git").write_text(
        '#!/bin/bash\n[ ! -e "${!#}" ] || { echo already exists; exit 128; }\nmkdir -p "${!#}/ci"\n'
        'printf "#!/bin/sh\\n" | tee "${!#}/bootstrap" "${!#}/ci/kept"; chmod +x "${!#}/bootstrap" "${!#}/ci/kept"\n'
    )
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("POSTROJ_SOURCE", "https://git.example.org/postroj.git")
    script = "\n".join(TEMPLATE[".postroj"]["before_script"])
    for _ in range(2):
        done = subprocess.run(["bash", "-e", "-c", script], cwd=work, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout


def scripts() -> Iterator[str]:
    for one in (TEMPLATE, *BLOCKS):
        for job in one.values():
            for part in ("before_script", "script", "after_script") if isinstance(job, dict) else ():
                yield from [job[part]] if isinstance(job.get(part), str) else job.get(part, [])


@pytest.mark.parametrize("script", [*scripts(), *(step["run"] for step in STEPS if "run" in step)])
def test_scripts_are_right(script: str) -> None:
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_inputs_are_documented() -> None:
    for name, one in ACTION["inputs"].items():
        assert f"| `{name}` | {one['description']} |" in DOCS


def test_the_examples_use_inputs_that_there_are() -> None:
    used = [
        one
        for block in BLOCKS
        for job in (block.get("jobs") or {}).values()
        for one in job["steps"]
        if one.get("uses", "").startswith("OWNER/postroj@")
    ]
    assert len(used) == 3
    for one in used:
        assert set(one["with"]) <= set(ACTION["inputs"])
    assert all(job.get("runs-on") == "ubuntu-24.04" for block in BLOCKS for job in (block.get("jobs") or {}).values())


def kept(what: str, file: Path, state: Path, *, said: str = "") -> None:
    """Run ci/kept."""
    env = {**os.environ, "POSTROJ_STATE_DIR": str(state)}
    done = subprocess.run([str(ROOT / "ci/kept"), what, str(file)], env=env, capture_output=True, text=True)
    assert (done.returncode, bool(done.stderr)) == (0, bool(said)), done.stderr
    assert said in done.stderr


def test_nothing_is_packed_without_images(here: Path) -> None:
    """A run that pulled none, as its plan was wrong, would be what the others of the week have."""
    (here / "state/images/.trees").mkdir(parents=True)
    kept("pack", here / "kept.tar.zst", here / "state", said="nothing to pack")
    kept("pack", here / "kept.tar.zst", here / "none", said="nothing to pack")
    assert not (here / "kept.tar.zst").exists()


def test_what_is_older_than_a_week_is_packed_anew(here: Path) -> None:
    """GitLab's cache has one key."""
    (here / "state/images").mkdir(parents=True)
    (here / "state/images/debian").symlink_to(".trees/file")
    kept("pack", file := here / "kept.tar.zst", here / "state")
    for days, is_there in ((6, True), (8, False)):
        os.utime(file, (time.time() - days * 24 * 3600,) * 2)
        kept("unpack", file, other := here / f"other-{days}")
        assert (file.exists(), os.path.lexists(other / "images/debian")) == (is_there, is_there)


def test_what_is_packed_is_what_is_unpacked(here: Path) -> None:
    """As far as it can be seen without root: names, modes, links, times."""
    state, other = here / "state", here / "other"
    (state / "images/.trees").mkdir(parents=True, mode=0o700)
    (state / "images/.trees/file").write_text("x")
    (state / "images/.trees/file").chmod(0o4750)
    (state / "images/debian").symlink_to(".trees/file")
    for what, place in (("pack", state), ("unpack", other)):
        kept(what, here / "kept.tar.zst", place)
    file = other / "images/debian"
    assert file.is_symlink() and file.read_text() == "x"
    assert file.stat().st_mode & 0o7777 == 0o4750
    assert file.stat().st_mtime_ns == (state / "images/debian").stat().st_mtime_ns
