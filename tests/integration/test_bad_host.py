"""A host that lacks something: a tool, a sound image, room on its disk. Status 3 (125 for run), and what mends it."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from badinput import assert_no_verdict, assert_told
from namespaces import with_small_disk, without_tool
from residue import image_debris
from scratch import scratch_state
from support import Run

# --- missing tools ---


@pytest.mark.once
@pytest.mark.parametrize(
    ("tool", "package"),
    [
        ("systemd-nspawn", "systemd-container"),
        ("ip", "iproute2"),
        ("nft", "nftables"),
        ("nsenter", "util-linux"),
        ("bash", "bash"),
        ("setpriv", "util-linux"),
    ],
)
def test_missing_tool_for_machines(environment: dict[str, str], bookworm: str, tool: str, package: str) -> None:
    told = (f"{tool} is missing on this host", f"apt-get install {package}\n")
    words = ["pkgprobe", f"--image={bookworm}", "--check-unit=dbus"]
    assert_no_verdict(without_tool(tool, words, environment), bookworm, *told)
    done = without_tool(tool, ["run", bookworm, "true"], environment)
    assert_told(done, 125, *told)
    assert done.stdout == ""


@pytest.mark.once
def test_doctor_names_what_is_missing(environment: dict[str, str]) -> None:
    done = without_tool("systemd-nspawn", ["doctor"], environment)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "bad   missing for machines: systemd-nspawn\n        apt-get install systemd-container\n" in done.stdout


@pytest.mark.once
@pytest.mark.parametrize(
    ("tool", "image"), [("mmdebstrap", "debian-bookworm"), ("skopeo", "debian-buster"), ("umoci", "debian-buster")]
)
def test_missing_tool_for_a_pull(environment: dict[str, str], tmp_path: Path, tool: str, image: str) -> None:
    done = without_tool(tool, ["pull", image], {**environment, "POSTROJ_STATE_DIR": str(tmp_path)})
    assert_told(done, 3, f"{tool} is missing on this host", f"apt-get install {tool}\n")
    assert image_debris(tmp_path / "images") == set()


# --- damaged images ---


class Damaged:
    """A copy of an image, in a state directory of its own."""

    def __init__(self, state: Path, name: str) -> None:
        self.state = state
        self.tree = state / "images" / (state / "images" / name).readlink().parent
        self.root = self.tree / "root"

    def record(self, text: str) -> None:
        """Replaced, not written to: the copy shares its files with the original."""
        (self.tree / "record").unlink()
        (self.tree / "record").write_text(text)

    def remove(self, pattern: str) -> None:
        found = list(self.root.glob(pattern))
        assert found
        for path in found:
            path.unlink()


@pytest.fixture
def scratch(bookworm: str) -> Iterator[Damaged]:
    with scratch_state(bookworm) as state:
        yield Damaged(state, bookworm)


def changed(scratch: Damaged, **fields: object) -> str:
    return json.dumps({**json.loads((scratch.tree / "record").read_text()), **fields})


DAMAGE: dict[str, tuple[Callable[[Damaged], None], str]] = {
    "no record": (lambda image: (image.tree / "record").unlink(), "record"),
    "empty record": (lambda image: image.record(""), "record"),
    "record is no JSON": (lambda image: image.record('{"name": "debian-bo'), "record"),
    "record is a list": (lambda image: image.record("[1, 2]"), "record"),
    "record lacks fields": (lambda image: image.record('{"name": "debian-bookworm"}'), "record"),
    "record of other types": (lambda image: image.record(changed(image, size="much", systemd=None)), "record"),
    "no systemd": (lambda image: image.remove("usr/lib/systemd/systemd"), "systemd is missing"),
    "no D-Bus": (lambda image: image.remove("usr/bin/dbus-daemon"), "dbus-daemon is missing"),
    "no root": (lambda image: shutil.rmtree(image.root), "missing"),
    "no tree": (lambda image: shutil.rmtree(image.tree), "not there"),
}


@pytest.mark.once
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_image(postroj: Run, scratch: Damaged, bookworm: str, damage: str) -> None:
    do, why = DAMAGE[damage]
    do(scratch)
    env = {"POSTROJ_STATE_DIR": str(scratch.state)}
    told = [f"the image {bookworm} is damaged", why, f"postroj pull --update {bookworm}"]
    assert_no_verdict(postroj("pkgprobe", "--image", bookworm, "--check-unit=dbus", env=env), bookworm, *told)
    assert_told(postroj("run", bookworm, "true", env=env), 125, *told)
    listed = postroj("list-images", "--format=plain", env=env)
    assert listed.returncode == 0, listed.stderr
    assert f"{bookworm}\tdebian-12\tapt\t2028-06-30\tdamaged\t-\t-\tcontainer, vm" in listed.stdout.splitlines()


def test_image_that_cannot_boot(postroj: Run, scratch: Damaged, bookworm: str) -> None:
    scratch.remove("usr/lib/*/libc.so.6")
    env = {"POSTROJ_STATE_DIR": str(scratch.state)}
    done = postroj("pkgprobe", "--image", bookworm, "--check-unit=dbus", env=env)
    assert_no_verdict(done, bookworm, f"the machine postroj-{bookworm} did not come up")


@pytest.mark.once
def test_damaged_image_is_mended_by_a_pull(postroj: Run, scratch: Damaged, bookworm: str) -> None:
    (scratch.tree / "record").unlink()
    env = {"POSTROJ_STATE_DIR": str(scratch.state)}
    done = postroj("pull", bookworm, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"ok      {bookworm}: ")
    assert not scratch.tree.exists()
    done = postroj("run", bookworm, "true", env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- full disks ---


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("size=48m", "debian-bookworm cannot be pulled: the disk is full"),
        ("size=1m,nr_inodes=2", "No space left on device"),
    ],
    ids=["runs full", "is full"],
)
@pytest.mark.once
def test_full_disk_under_the_images(environment: dict[str, str], tmp_path: Path, options: str, told: str) -> None:
    env = {**environment, "POSTROJ_STATE_DIR": str(tmp_path)}
    done = with_small_disk(tmp_path, options, ["pull", "debian-bookworm"], env)
    assert_told(done, 3, told, "free some space", "POSTROJ_STATE_DIR")
    left = [line for line in done.stdout.splitlines() if line.startswith("left: ")]
    assert set(left) <= {f"left: images{part}" for part in ("", "/.trees", "/.downloads", "/.packages")}
