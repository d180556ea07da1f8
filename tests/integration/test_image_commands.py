"""`postroj image` and the filters of `list-images`, on real images."""

import json
import os
import time
from pathlib import Path

import pytest

from badinput import assert_told
from layouts import PROGRAM, layout
from moments import running, started, until
from residue import image_debris
from scratch import scratch_state
from support import POSTROJ, Run

pytestmark = pytest.mark.once

_DAY = 86400.0
_SLEEP = "71717"


@pytest.fixture
def images(state: Path) -> Path:
    return state / "images"


@pytest.fixture
def run_here(state: Path, postroj: Run) -> Run:
    return lambda *words: postroj(*words, env={"POSTROJ_STATE_DIR": str(state)})


@pytest.fixture
def name(run_here: Run) -> str:
    """An image that is here."""
    done = run_here("pull", f"oci:{layout(PROGRAM)}:it")
    assert done.returncode == 0, done.stderr
    pulled: str = done.stdout.split()[1].rstrip(":")
    return pulled


def test_inspect_tells_all_that_is_known(name: str, run_here: Run) -> None:
    (image,) = json.loads(run_here("image", "inspect", name).stdout)
    assert image["reference"] == f"oci:{layout(PROGRAM)}:it"
    assert image["digest"].startswith("sha256:")
    assert (image["family"], image["systemd"], image["boots"]) == ("none", "", False)
    assert image["size"] > 500_000
    assert_told(run_here("image", "inspect", "debian-sid"), 3, "is not downloaded", "postroj pull debian-sid")


@pytest.mark.parametrize("change", ["content", "mode", "new", "gone"])
def test_verify_finds_what_has_changed(change: str, name: str, images: Path, run_here: Run) -> None:
    assert run_here("image", "verify").stdout == f"ok  {name}\n"
    program = images / name / "program"
    if change == "content":
        with open(program, "r+b") as file:
            file.seek(100_000)
            file.write(b"x")
    elif change == "mode":
        program.chmod(0o777)
    elif change == "new":
        program.with_name("another").touch()
    else:
        program.unlink()
    done = run_here("image", "verify", name)
    assert done.returncode == 3
    assert f"bad {name}\n" in done.stdout
    assert "postroj pull --update" in done.stderr
    assert run_here("pull", "--update", f"oci:{layout(PROGRAM)}:it").returncode == 0


def test_what_is_removed_is_gone(name: str, images: Path, run_here: Run) -> None:
    assert run_here("image", "rm", name).stdout == f"removed {name}\n"
    assert list(images.glob("[!.]*")) == []
    assert image_debris(images) == set()
    assert_told(run_here("image", "rm", name), 2, "there is no image")


@pytest.mark.parametrize("words", [("rmi", "NAME"), ("image", "prune", "--older-than=0d")])
def test_machines_that_run_on_what_is_removed_are_told(
    words: tuple[str, ...], bookworm: str, postroj: Run, environment: dict[str, str]
) -> None:
    """They run on."""
    with scratch_state(bookworm) as state:
        env = {"POSTROJ_STATE_DIR": str(state)}
        run = [POSTROJ, "run", "--name=on-it", bookworm, "sleep", _SLEEP]
        with started(run, {**environment, **env}) as process:
            until(lambda: running("sleep", _SLEEP), "the command runs")
            done = postroj(*(word.replace("NAME", bookworm) for word in words), env=env)
            assert done.returncode == 0 and f"removed {bookworm}\n" in done.stdout, done.stderr
            assert f"{bookworm} is used by this machine, which keeps its files until the end: on-it" in done.stderr
            assert postroj("exec", "on-it", "cat", "/etc/debian_version").returncode == 0
            process.terminate()
            process.wait(60)


def test_prune_takes_what_is_old_or_unused(name: str, images: Path, run_here: Run) -> None:
    assert run_here("image", "prune", "--older-than=1d", "--unused-for=1d").stdout == "nothing to remove\n"
    long_ago = time.time() - 3 * _DAY
    note = (images / name).resolve().parent / "names" / name
    os.utime(note, (long_ago, long_ago))
    assert run_here("image", "prune", "--unused-for=4d").stdout == "nothing to remove\n"
    assert run_here("image", "prune", "--dry-run", "--unused-for=2d").stdout == f"would remove {name}\n"
    assert run_here("run", name, "/program", "--version").returncode == 0  # which is a use
    assert run_here("image", "prune", "--unused-for=2d").stdout == "nothing to remove\n"
    assert f"removed {name}\n" in run_here("image", "prune", "--older-than=0d").stdout
    assert list(images.glob("[!.]*")) == []


def test_list_has_filters(name: str, run_here: Run) -> None:
    def names(*options: str) -> list[str]:
        return [line.split("\t")[0] for line in run_here("list-images", *options).stdout.splitlines()]

    assert names("--pulled") == [name]
    assert "debian-stretch" in names("--end-of-life") and "debian-trixie" not in names("--end-of-life")
    assert "debian-trixie" in names("--supported") and "debian-stretch" not in names("--supported")
    assert set(names("--family=pacman")) == {"archlinux", "archlinux-20220501"}
    assert_told(run_here("list-images", "--family=rpm"), 2, "there is no family 'rpm'", "zypper")
