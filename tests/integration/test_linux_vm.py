"""The Linux VM of hosts that do not run Linux, on Linux: made once, and commands run in it as on the host.

It takes half an hour under emulation: run it by hand, with POSTROJ_TEST_LINUX_VM=1.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import debs
from moments import until
from scratch import scratch_state
from support import POSTROJ, STATE
from typist import at_terminal
from vm_host import VmHost, missing, vm_host

__all__ = ["vm_host"]

_WHY = missing() or ("" if os.environ.get("POSTROJ_TEST_LINUX_VM") else "it takes long: set POSTROJ_TEST_LINUX_VM=1")
pytestmark = [pytest.mark.vm, pytest.mark.skipif(bool(_WHY), reason=_WHY)]

_SECONDS = 3600
_DARWIN = str(Path(__file__).parents[1] / "unit/darwin.py")


@pytest.fixture(scope="module")
def on_host(vm_host: VmHost) -> Iterator[dict[str, str]]:
    """The environment of a host that has the VM."""
    with scratch_state() as state:
        yield {
            **os.environ,
            "POSTROJ_STATE_DIR": str(state),
            "POSTROJ_IMAGES_DIR": os.path.join(STATE, "images"),
            "POSTROJ_VM_DRIVER": "qemu",
        }


def test_a_life(on_host: dict[str, str], bookworm: str, tmp_path: Path) -> None:
    """All of it in one test: the VM of the first command is that of the others."""
    here, other, image = tmp_path / "here", tmp_path / "other", "mine"
    here.mkdir()
    other.mkdir()
    in_vm = {**on_host, "POSTROJ_HOST": "vm"}

    def run(
        *words: str | Path, env: dict[str, str] = in_vm, stdin: str = "", program: tuple[str, ...] = (POSTROJ,)
    ) -> tuple[int, str, str]:
        done = subprocess.run(
            [*program, *map(str, words)], env=env, cwd=here, input=stdin, capture_output=True, text=True,
            timeout=_SECONDS, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    status, _, err = run("run", image, "true")
    assert (status, err.splitlines()[0]) == (125, "postroj: there is no Linux VM")
    status, out, err = run("vm", "host", "create", env=on_host)
    assert (status, out) == (0, "the Linux VM is ready\n"), err
    status, _, err = run("vm", "host", "create", env=on_host)
    assert status == 2 and "is there already" in err

    # an image of the host's: to bootstrap one in the VM takes longer
    exported = "image.tar.zst"
    status, _, err = run("image", "export", bookworm, exported, env=on_host)
    assert status == 0, err
    status, _, err = run("image", "import", exported, image)
    assert status == 0, err
    (here / exported).unlink()

    # streams, status, files
    (here / "file").write_text("content\n")
    (here / "old").write_text("old\n")
    script = 'cat; cat /here/file; echo "$0 $1"; echo bad >&2; echo new >/here/new; rm /here/old; exit 7'
    status, out, err = run("run", "-i", "--bind=.:/here", image, "sh", "-c", script, "a  b", "$HOME'\"", stdin="hi\n")
    assert (status, out) == (7, "hi\ncontent\na  b $HOME'\"\n"), err
    assert "bad" in err.splitlines()
    assert (here / "new").read_text() == "new\n" and (here / "file").read_text() == "content\n"
    assert (here / "old").exists(), "what was deleted in the VM is kept here"
    assert run("gc", env=on_host)[0] == 0  # the VM is on, and nobody's debris
    status, out, err = run("list-images", "--pulled", "--quiet")
    assert (status, out, err) == (0, f"{image}\n", "")

    # a package outside of the current directory, and a report in it; from a host without Linux
    package = debs.build(other, "case", service="exec sleep infinity")
    words = (f"--image={image}", f"--package={package}", "--check-unit=case", "--report=json=report.json")
    mac = (sys.executable, _DARWIN)
    status, out, err = run("pkgprobe", *words, env=on_host, program=mac)
    assert status == 0, out + err
    assert json.loads((here / "report.json").read_text())["verdict"] == "passed"
    assert sorted(one.name for one in other.iterdir()) == [package.name]
    status, out, _ = run("doctor", env=on_host, program=mac)
    assert status == 0 and "the Linux VM" in out

    _check_ends(in_vm, here, image)
    _check_terminal(in_vm, here, image)

    assert run("vm", "host", "stop", env=on_host)[0] == 0
    status, out, err = run("run", image, "echo", "again")
    assert (status, out) == (0, "again\n"), err
    assert "starting the Linux VM" in err
    assert run("vm", "host", "rm", env=on_host) == (0, "removed the Linux VM\n", "")
    assert run("vm", "host", "rm", env=on_host)[0] == 2
    assert run("vm", "host", env=on_host)[1].startswith("there is no Linux VM")


def _check_ends(environment: dict[str, str], here: Path, image: str) -> None:
    """A signal ends the machine in the VM, with the status that postroj has on Linux; so does a lost connection."""
    command = [POSTROJ, "run", "--name=held", image, "sh", "-c", "echo ready; sleep infinity"]

    def names() -> str:
        words = [POSTROJ, "ps", "--quiet"]
        return subprocess.run(words, env=environment, cwd=here, capture_output=True, text=True, check=True).stdout

    for signum, status in ((signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)):
        with subprocess.Popen(
            command, env=environment, cwd=here, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        ) as held:
            assert held.stdout is not None
            assert held.stdout.readline() == b"ready\n"
            assert names() == "held\n"
            held.send_signal(signum)
            assert held.wait(_SECONDS) == status
        until(lambda: not names(), "the machine is gone", seconds=_SECONDS)
    sockets = Path(environment["POSTROJ_STATE_DIR"]) / "vms/linux-host/ssh"
    assert list(sockets.iterdir()) == [], "what the killed one has left is removed by the next one"


def _check_terminal(environment: dict[str, str], here: Path, image: str) -> None:
    script = "tty; stty size; echo $TERM; trap 'echo stopped; exit 5' INT; echo ready; while :; do sleep 1; done"
    words = [
        "sh",
        "-c",
        'cd "$1" && shift && exec "$@"',
        "sh",
        str(here),
        POSTROJ,
        "run",
        "-it",
        image,
        "sh",
        "-c",
        script,
    ]
    with at_terminal(words, environment) as typist:
        before = typist.settings()
        typist.read_until(r"/dev/pts/\d+\r\n31 97\r\nxterm\r\nready\r\n", seconds=_SECONDS)
        typist.type("\x03")
        typist.read_until("stopped", seconds=_SECONDS)
        assert typist.end(_SECONDS) == 5
        assert typist.settings() == before
