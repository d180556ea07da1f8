"""`postroj test`: packages in images, several at once; what is reported, and what ends it, or a cell of it."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import junitparser
import pytest

import packages
from badinput import assert_refused
from debs import GOOD
from moments import commands, deliver, running, started, until
from residue import Residue
from scratch import scratch_state
from standins import standin
from support import POSTROJ, Run
from typist import at_terminal

pytestmark = pytest.mark.once

# As a careful maintainer writes them: what is disabled stays disabled, what does not run is not started.
_SCRIPTS = {
    "post": """systemctl daemon-reload
if [ "$1" = 1 ] || { [ "$1" = configure ] && [ -z "$2" ]; }; then systemctl enable --now NAME.service
else systemctl try-restart NAME.service || true; fi""",
    "preun": 'if [ "$1" = 0 ] || [ "$1" = remove ]; then systemctl disable --now NAME.service; fi',
    "postun": "systemctl daemon-reload || true",
}
_BROKEN = "echo cannot open /etc/store.conf >&2; exit 3"
_SLEEP = "51515"
_QUICK = ("--phase=install", "--phase=check", "--stay-active=0")


class Lab:
    """A directory with packages, and a state directory with images of its own."""

    def __init__(self, directory: Path, state: Path, postroj: Run) -> None:
        self.directory = directory
        self.env = {"POSTROJ_STATE_DIR": str(state)}
        self._postroj = postroj

    def package(self, name: str, kind: str = "deb", version: str = "1.1.0", place: str = "dist", **more: Any) -> Path:
        """Build a package in a directory of the lab."""
        (self.directory / place).mkdir(exist_ok=True)
        scripts = {word: text.replace("NAME", name) for word, text in _SCRIPTS.items()}
        built = packages.build(self.directory / "work", name, packager=kind, version=version, scripts=scripts, **more)
        return built.rename(self.directory / place / built.name)

    def test(self, *words: str | Path, cwd: Path | None = None, **env: str) -> "subprocess.CompletedProcess[str]":
        """Run `postroj test` in the lab, as a user does."""
        return subprocess.run(
            [POSTROJ, "test", *map(str, words)],
            cwd=cwd or self.directory,
            env={**os.environ, **self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )

    def cells(self, file: str = "report.json") -> dict[str, dict[str, Any]]:
        """Return the cells of the last JSON report."""
        read = json.loads((self.directory / file).read_text())
        return {cell["cell"]: cell for cell in read["cells"]}


@pytest.fixture(scope="module")
def images(bookworm: str, postroj: Run) -> Iterator[Path]:
    """A state directory with Debian 12 under two names, and a stand-in for Fedora."""
    with scratch_state(bookworm) as state, standin("dnf") as tree:
        second = state / "images/debian-twelve"
        second.symlink_to((state / "images" / bookworm).readlink())
        tree_of = (state / "images" / bookworm).resolve().parent
        (tree_of / "names/debian-twelve").write_text((tree_of / f"names/{bookworm}").read_text())
        done = postroj("image", "import", tree, "fedora-standin", env={"POSTROJ_STATE_DIR": str(state)})
        assert done.returncode == 0, done.stderr
        yield state


@pytest.fixture
def lab(images: Path, tmp_path: Path, postroj: Run) -> Lab:
    (tmp_path / "work").mkdir()
    return Lab(tmp_path, images, postroj)


def test_two_formats_and_an_upgrade_by_a_plan(lab: Lab) -> None:
    """One package of two is broken: table, JUnit, JSON and exit status tell of it, and of nothing else."""
    for kind in ("deb", "rpm"):
        for name in ("agent", "store"):
            lab.package(name, kind, "1.0.0", "previous")
            lab.package(name, kind, service=_BROKEN if name == "store" else GOOD)
    (lab.directory / "postroj.toml").write_text(
        'packages = ["dist/"]\nupgrade-from = ["previous/"]\nimages = ["debian-12", "fedora-standin"]\n'
        'phases = ["install", "check", "upgrade"]\nstay-active = 1\n'
        'report = ["junit=report.xml", "json=report.json"]\nartifacts = "logs"\n'
        '[[override]]\nselect = "fedora-*:*"\nallow = ["left-after-remove"]\n'
    )
    done = lab.test()
    assert done.returncode == 1, done.stdout + done.stderr
    told = done.stdout.splitlines()
    why = "check: unit store.service: failed (Result: exit-code): status 3: cannot open /etc/store.conf"
    assert told[:2] == [f"FAILED {image}:store: {why}" for image in ("debian-bookworm", "fedora-standin")]
    assert told[2].split() == ["PACKAGE", "debian-bookworm", "fedora-standin"]
    assert [line.split()[:2] for line in told[3:5]] == [["agent", "passed"], ["store", "FAILED"]]
    assert told[5].startswith("FAILED: 4 cells: 2 passed, 2 failed, ")
    cells = lab.cells()
    assert {name: cell["verdict"] for name, cell in cells.items()} == {
        "debian-bookworm:agent": "passed",
        "fedora-standin:agent": "passed",
        "debian-bookworm:store": "failed",
        "fedora-standin:store": "failed",
    }
    assert [phase["name"] for phase in cells["debian-bookworm:agent"]["report"]["phases"]] == [
        "install", "check", "upgrade",
    ]  # fmt: skip
    xml = junitparser.JUnitXml.fromfile(str(lab.directory / "report.xml"))
    failed = {suite.name for suite in xml if suite.failures}
    assert {name.split(" ")[0] for name in failed} == {"debian-bookworm:store", "fedora-standin:store"}
    assert xml.errors == 0
    assert (lab.directory / "logs/debian-bookworm/store/report.txt").read_text().startswith("FAILED debian-bookworm")
    # Those that have failed, and no other, once more; it may fail now, for a reason that is repeated.
    with (lab.directory / "postroj.toml").open("a") as plan:
        plan.write('[[allow-failure]]\nselect = "*:store"\nreason = "issue 7"\n')
    again = lab.test("--failed", "debian-*:*", "--phase=install", "--phase=check")
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.splitlines()[0].endswith("cannot open /etc/store.conf (may fail: issue 7)")
    assert again.stdout.splitlines()[-1].startswith("PASSED: 1 cell: 1 failed, 1 of these may fail, ")


def test_without_a_plan(lab: Lab) -> None:
    lab.package("agent")
    done = lab.test("dist/", "--image=debian-12", *_QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[0] == "passed debian-bookworm:agent"
    assert "[1/1] passed debian-bookworm:agent, " in done.stderr


def test_an_image_that_was_imported_is_used_as_it_is(lab: Lab) -> None:
    """Also if the directory that it was made from has changed since: whoever makes a hard link to a file changes it."""
    lab.package("agent", "rpm")
    words = [POSTROJ, "image", "inspect", "fedora-standin"]
    shown = subprocess.run(words, env={**os.environ, **lab.env}, capture_output=True, check=True).stdout
    release = Path(json.loads(shown)[0]["reference"], "usr/lib/os-release")
    release.chmod(release.stat().st_mode & 0o7777)
    done = lab.test("dist/", "--image=fedora-standin", *_QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pulling" not in done.stderr


def test_an_image_that_cannot_be_pulled_is_the_error_of_its_cells(lab: Lab) -> None:
    lab.package("agent")
    done = lab.test("dist/", "--image=debian-12", "--image=docker://127.0.0.1:9/none:1", "--report=json", *_QUICK)
    assert done.returncode == 3, done.stdout + done.stderr
    good, bad = sorted(json.loads(done.stdout)["cells"], key=lambda cell: cell["verdict"])
    assert (good["cell"], good["verdict"]) == ("debian-bookworm:agent", "passed")
    assert (bad["verdict"], bad["tries"], bad["report"]) == ("unknown", 0, None)
    assert "127.0.0.1:9" in bad["reason"]


def test_a_cell_that_is_killed_is_one_error(lab: Lab, environment: dict[str, str]) -> None:
    slow = lab.package("slow", place="slow")
    lab.package("agent")
    (lab.directory / "postroj.toml").write_text(
        f'packages = ["dist/"]\nimages = ["debian-12"]\nphases = ["install", "check"]\nstay-active = 0\n'
        f'[[package]]\nname = "hanging"\nfiles = ["{slow}"]\n'
        f'[[package.check]]\ncommand = "sleep {_SLEEP}"\ntimeout = 300\n'
    )
    with chdir(lab.directory), started([POSTROJ, "test", "--report=json"], {**environment, **lab.env}) as process:
        until(lambda: running("sleep", _SLEEP), "the check runs")
        (pid,) = [pid for pid, words in commands() if "pkgprobe" in words and any(_SLEEP in word for word in words)]
        os.kill(pid, signal.SIGKILL)
        output = process.stdout.read()  # type: ignore[union-attr]
        assert process.wait(120) == 3
    cells = {cell["cell"]: cell for cell in json.loads(output)["cells"]}
    assert cells["debian-bookworm:hanging"]["reason"] == "its process was killed by SIGKILL"
    assert cells["debian-bookworm:agent"]["verdict"] == "passed"
    assert not running("sleep", _SLEEP)


def test_of_cells_that_are_killed_together_nothing_is_left(lab: Lab, environment: dict[str, str]) -> None:
    """No machine is started after them that would remove it."""
    count = 4
    for number in range(count):
        lab.package(f"part-{number}")
    (lab.directory / "postroj.toml").write_text(
        f'packages = ["dist/"]\nimages = ["debian-12"]\nphases = ["install", "check"]\nstay-active = 0\n'
        f'jobs = {count}\n[[check]]\ncommand = "sleep {_SLEEP}"\ntimeout = 300\n'
    )
    before = Residue.take()
    with chdir(lab.directory), started([POSTROJ, "test"], {**environment, **lab.env}) as process:
        until(
            lambda: sum(words[-2:] == ["sleep", _SLEEP] for _, words in commands()) == count,
            "the check of each cell runs",
        )
        for pid, words in commands():
            if "pkgprobe" in words and any(_SLEEP in word for word in words):
                os.kill(pid, signal.SIGKILL)
        out, errors = process.communicate(timeout=300)
    assert process.returncode == 3, errors
    assert out.count(b"its process was killed by SIGKILL") >= count
    assert Residue.settled(before) == before


@pytest.fixture
def hanging(lab: Lab) -> Lab:
    """A plan whose only cell never ends."""
    lab.package("slow")
    (lab.directory / "postroj.toml").write_text(
        'packages = ["dist/"]\nimages = ["debian-12", "debian-twelve"]\nphases = ["install", "check"]\n'
        f'stay-active = 0\njobs = 1\nreport = ["json=report.json"]\n'
        f'[[check]]\ncommand = "sleep {_SLEEP}"\ntimeout = 300\n'
    )
    return lab


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_a_signal_ends_it_and_what_is_done_is_reported(
    signum: signal.Signals, hanging: Lab, environment: dict[str, str]
) -> None:
    with chdir(hanging.directory), started([POSTROJ, "test"], {**environment, **hanging.env}) as process:
        until(lambda: running("sleep", _SLEEP), "the check runs")
        deliver(process, signum)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert out.decode().splitlines()[-1].startswith("NO VERDICT: 2 cells: 2 not run (interrupted), ")
    assert [cell["reason"] for cell in hanging.cells().values()] == ["interrupted", "interrupted"]


def test_a_terminal_that_goes_away_ends_it_and_what_is_done_is_reported(
    hanging: Lab, environment: dict[str, str]
) -> None:
    """The board can be drawn no more, nor the table be printed."""
    with chdir(hanging.directory), at_terminal([POSTROJ, "test"], {**environment, **hanging.env}) as screen:
        until(lambda: screen.rest() and running("sleep", _SLEEP), "the check runs")
        screen.hang_up()
        assert screen.process.wait(60) == 128 + signal.SIGHUP
    assert [cell["reason"] for cell in hanging.cells().values()] == ["interrupted", "interrupted"]


def test_a_second_signal_ends_it_at_once(hanging: Lab, environment: dict[str, str]) -> None:
    """Its cells are stopped by SIGSTOP, and so cannot end in their own way."""
    with chdir(hanging.directory), started([POSTROJ, "test"], {**environment, **hanging.env}) as process:
        until(lambda: running("sleep", _SLEEP), "the check runs")
        (cell,) = [pid for pid, words in commands() if "pkgprobe" in words]
        os.kill(cell, signal.SIGSTOP)
        until(lambda: "State:\tT" in Path(f"/proc/{cell}/status").read_text(), "the cell has stopped")
        deliver(process, signal.SIGINT)
        until(lambda: _pending(cell, signal.SIGTERM), "the cell is told to end")
        deliver(process, signal.SIGINT)
        assert process.wait(60) == 130


def test_a_matrix_that_is_killed_leaves_nothing(hanging: Lab, environment: dict[str, str]) -> None:
    """The kernel tells its cells, and these remove their machines."""
    with chdir(hanging.directory), started([POSTROJ, "test"], {**environment, **hanging.env}) as process:
        until(lambda: running("sleep", _SLEEP), "the check runs")
        process.kill()
        until(lambda: not [words for _, words in commands() if "pkgprobe" in words], "its cells have ended")


def test_the_first_failure_ends_it(lab: Lab) -> None:
    lab.package("store", service=_BROKEN)
    lab.package("agent")
    lab.package("zeta")
    done = lab.test("dist/", "--image=debian-12", "--fail-fast", "-j1", "--order=plan", "--report=json", *_QUICK)
    assert done.returncode == 1, done.stdout + done.stderr
    verdicts = [(cell["package"], cell["verdict"]) for cell in json.loads(done.stdout)["cells"]]
    assert verdicts == [("agent", "passed"), ("store", "failed"), ("zeta", "not run")]


def test_shards_are_all_cells(lab: Lab) -> None:
    for name in ("a1", "b1", "c1"):
        lab.package(name)
    words = ("dist/", "--image=debian-12", "--image=debian-twelve", "--list")
    shards = [lab.test(*words, f"--shard={part}/4").stdout.split() for part in (1, 2, 3, 4)]
    listed = [cell for shard in shards for cell in shard]
    assert sorted(listed) == sorted(lab.test(*words).stdout.split()) and len(listed) == 6


def test_mistakes_are_told_before_anything_boots(lab: Lab) -> None:
    lab.package("agent")
    assert_refused(lab.test(), 2, "there is no plan here", "--init")
    assert_refused(lab.test("dist/", "--image=fedora-standin"), 2, "installs none of the packages (deb)")
    assert_refused(lab.test("dist/", "nosuch:*"), 2, "no cell is selected by 'nosuch:*'")
    assert_refused(lab.test("dist/", "--image=debian-12", "--phase=nosuch"), 2, "--phase", "nosuch")
    assert_refused(lab.test("dist/", "--image=debian-12", "--executor=ssh://x"), 2, "dask://")


def test_two_at_once_in_one_directory(lab: Lab, environment: dict[str, str]) -> None:
    """Each has its report; of both it is known what they came to."""
    for name in ("agent", "store"):
        lab.package(name, service=_BROKEN if name == "store" else GOOD)
    words = [POSTROJ, "test", "dist/", "--image=debian-12", "--image=debian-twelve", *_QUICK]
    env = {**environment, **lab.env}
    with chdir(lab.directory), started([*words, "--report=json", "*:agent"], env) as one:
        with started([*words, "--report=json", "*:store"], env) as other:
            told = [process.communicate(timeout=300) for process in (one, other)]
    assert (one.returncode, other.returncode) == (0, 1), told
    assert [{cell["package"] for cell in json.loads(out)["cells"]} for out, _ in told] == [{"agent"}, {"store"}]
    listed = lab.test("dist/", "--image=debian-12", "--image=debian-twelve", "--failed", "--list")
    assert listed.stdout.split() == ["debian-bookworm:store", "debian-twelve:store"]


def test_a_full_disk_is_the_error_of_cells(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> None:
    """It is where their output is kept; what has come of them is told all the same."""
    lab.package("agent")
    place = tmp_path_factory.mktemp("full")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", place], check=True)
    many = [f"--check=file /etc/none-{number} exists=no" for number in range(60)]
    reports = ("--report=text", "--report=json=report.json")
    try:
        done = lab.test("dist/", "--image=debian-12", *many, *reports, *_QUICK, TMPDIR=str(place))
    finally:
        subprocess.run(["umount", place], check=True)
    assert done.returncode == 3, done.stdout + done.stderr
    (cell,) = lab.cells().values()
    assert cell["verdict"] == "unknown" and "No space left on device" in cell["reason"], cell
    assert done.stdout.splitlines()[-1].startswith("NO VERDICT: 1 cell: 1 no verdict, ")
    assert "Traceback" not in done.stdout + done.stderr


def test_a_terminal_of_ten_columns(lab: Lab, environment: dict[str, str]) -> None:
    lab.package("agent")
    words = [POSTROJ, "test", "dist/", "--image=debian-12", *_QUICK]
    with chdir(lab.directory), at_terminal(words, {**environment, **lab.env}) as typist:
        typist.resize(5, 10)
        typist.read_until("PASSED", 120)
        assert typist.end() == 0


def test_ci_systems_fold(lab: Lab) -> None:
    lab.package("store", service=f"echo '::error::mine ##[error]x' >&2; {_BROKEN}")
    summary = lab.directory / "summary"
    words = ("dist/", "--image=debian-12", *_QUICK)
    github = lab.test(*words, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
    assert github.returncode == 1
    assert "::group::[1/1] FAILED debian-bookworm:store: " in github.stderr and "::endgroup::" in github.stderr
    # What the service has printed is no command to the runner: none begins a line, and none is within one.
    assert "##[" not in github.stdout + github.stderr and "\n::error::mine" not in github.stdout + github.stderr
    assert "::error title=debian-bookworm%3Astore::" in github.stdout
    assert summary.read_text().startswith("### FAILED")
    gitlab = lab.test(*words, GITLAB_CI="true")
    assert "section_start:" in gitlab.stderr and "section_end:" in gitlab.stderr


def _pending(pid: int, signum: signal.Signals) -> bool:
    """Return whether a signal waits for a process: ShdPnd of proc_pid_status(5)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("ShdPnd:"):
            return bool(int(line.split()[1], 16) >> (signum - 1) & 1)
    return False
