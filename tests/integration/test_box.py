"""Boxes of Debian images: made once, and nothing is left of one that was killed. test_vm.py boots them."""

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGKILL

import pytest

from moments import running, started, until
from residue import Residue
from scratch import scratch_state
from support import STATE, Run
from vm_host import missing

pytestmark = [pytest.mark.vm, pytest.mark.skipif(bool(missing()), reason=missing())]

_MAKE = """
import json, sys
from postroj.deadline import Deadline
from postroj.errors import PostrojError
from postroj.image.box import box
try:
    print(json.dumps([*(made := box(sys.argv[1], deadline=Deadline(1200))), made.name]))
except PostrojError as error:
    sys.exit(f"{error.what}\\n{error.why}\\n{error.hint}")
"""


class Made:
    """A box that was made, in a state directory of its own."""

    def __init__(self, state: Path, environment: dict[str, str]) -> None:
        self.env = {**environment, "POSTROJ_STATE_DIR": str(state)}
        self.boxes = state / "images/.boxes"

    def box(self, image: str) -> list[str]:
        with started([sys.executable, "-c", _MAKE, image], self.env) as process:
            out, err = process.communicate(timeout=1800)
        assert process.returncode == 0, err.decode()
        found: list[str] = json.loads(out)
        return found


@pytest.fixture(scope="module")
def made(environment: dict[str, str]) -> Iterator[Made]:
    with scratch_state() as state:
        yield Made(state, environment)


def _share(box: Path) -> None:
    """Have the tests after these make VMs of it, if there is none yet: it takes most of a minute to make."""
    boxes = Path(STATE, "images/.boxes")
    boxes.mkdir(0o700, exist_ok=True)
    if not (boxes / box.name).exists():
        subprocess.run(["cp", "--archive", "--link", box, boxes], check=True)


def test_killed_while_it_is_made(made: Made, postroj: Run) -> None:
    before = Residue.take()
    with started([sys.executable, "-c", _MAKE, "debian-12"], made.env) as process:
        until(lambda: running("perl", "mmdebstrap") or process.poll() is not None, "mmdebstrap runs")
        assert process.poll() is None, process.communicate()
        (half,) = made.boxes.iterdir()
        assert (half / "work").is_dir()
        gone = postroj("gc", env=made.env)  # it has a living owner
        assert gone.returncode == 0 and half.is_dir()
        process.send_signal(SIGKILL)
        process.communicate(timeout=60)
    assert Residue.settled_by_kernel(before.by_kernel()) == before.by_kernel()
    assert half.is_dir()
    done = postroj("gc", env=made.env)
    assert f"unfinished box {half.name}" in done.stdout, done.stderr
    assert list(made.boxes.iterdir()) == []


def test_made_once_and_removed(made: Made, postroj: Run) -> None:
    # Of two at once, one makes it and the other one waits.
    with ThreadPoolExecutor() as both:
        found, same = both.map(made.box, ("debian-12", "debian-bookworm"))
    assert same == found
    image, digest, _, path, name = found
    assert (image, name) == ("debian-bookworm", f"debian-bookworm-{digest[7:19]}")
    assert made.box("debian-12") == found  # now it is here
    assert [one.name for one in made.boxes.iterdir()] == [Path(path).parent.name]
    assert sorted(one.name for one in Path(path).parent.iterdir()) == ["libvirt.box", "record"]
    with tarfile.open(path) as archive:
        assert archive.getnames() == ["metadata.json", "Vagrantfile", "box.img"]
    _share(Path(path).parent)

    kept = postroj("image", "prune", "--unused-for", "30d", env=made.env)
    assert kept.returncode == 0 and Path(path).exists(), kept.stderr
    would = postroj("image", "prune", "--dry-run", "--unused-for", "0d", env=made.env)
    assert "would remove box of debian-bookworm" in would.stdout and Path(path).exists()
    removed = postroj("image", "rm", "debian-12", env=made.env)
    assert removed.stdout == "removed the box of debian-bookworm\n", removed.stderr
    assert list(made.boxes.iterdir()) == []


def test_other_distributions_are_refused(made: Made) -> None:
    with started([sys.executable, "-c", _MAKE, "ubuntu-24.04"], made.env) as process:
        _, err = process.communicate(timeout=600)
    assert process.returncode == 1
    assert err.decode().startswith("no box can be made of ubuntu-noble: ")
    assert "there is debian-bullseye, debian-bookworm" in err.decode()
