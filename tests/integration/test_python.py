"""The public Python interface on real machines: the scripts of docs/python.md as they stand, and what goes wrong."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import debs
import postroj
from postroj import events

pytestmark = pytest.mark.once

_DOCS = (Path(__file__).parent.parent.parent / "docs/python.md").read_text()
_SCRIPTS = re.findall(r"^```python\n(.*?)^```", _DOCS, re.DOTALL | re.MULTILINE)
_PRINTED = (
    "active\n\nanswers 200 OK\n",
    "['/etc/case-1']\n['/etc/case-2']\n",
    "server: installing hello_1.0_all.deb\nanswers 200 OK\n",
    "passed: package hello_1.0_all.deb: installed\npassed: unit hello.service: active (running)\n",
    "the package's fault: Unable to locate package no-such-package\n",
)


@pytest.fixture
def hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose service answers on port 8080, in the current directory."""
    monkeypatch.chdir(tmp_path)
    return debs.build(tmp_path, "hello", service=debs.SERVER)


@pytest.mark.parametrize(
    ("script", "printed"),
    [*zip(_SCRIPTS, _PRINTED, strict=True)],
    ids=["install", "snapshot", "two", "probe", "errors"],
)
def test_a_script_of_the_docs(
    script: str, printed: str, hello: Path, bookworm: str, environment: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=hello.parent, env=environment, capture_output=True, text=True
    )
    told = done.stdout.replace("./hello", "hello")
    assert (done.returncode, done.stderr) == (0, "")
    assert told == printed


def test_two_machines_in_one_process(hello: Path, bookworm: str, environment: dict[str, str]) -> None:
    told: list[events.Event] = []
    with (
        events.subscribed(told.append),
        postroj.machine(bookworm, name="one") as one,
        postroj.machine(bookworm, name="two", bind_ro=f"{hello.parent}:/here", memory="512M") as two,
    ):
        assert (one.name, one.image, repr(two)) == ("one", bookworm, "<postroj.Machine two>")
        one.install(hello.relative_to(hello.parent))
        assert one.check_unit("hello", stay=0.1).passed
        assert two.check_unit("hello").outcome is postroj.Outcome.FAILED
        assert one.check_network("tcp://localhost:8080").passed
        assert one.check("http http://localhost:8080 status=200").passed
        assert one.check("unit hello active=yes").passed
        wrong = one.check("file /etc/hostname mode=0600")
        assert not wrong.passed and "mode: expected 0600, got 0644" in wrong.detail
        assert not two.check_network("tcp://localhost:8080", timeout=0).passed
        assert (one.listening_sockets(), two.listening_sockets()) == (["0.0.0.0:8080"], [])
        with one.connect("localhost", 8080) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.0 200"
        with one.watch_unit("hello") as watch:
            assert (watch.name, watch.state().active) == ("hello.service", "active")
        assert one.command(["ls", "-A", "/run/postroj"]).output == ""  # of the file that was installed
        assert "hello_1.0_all.deb" in two.command(["ls"], workdir="/here").output.split()
        assert two.command(["id", "-un"], user="nobody").output == "nobody\n"
    steps = [(step.machine, step.text) for step in told if isinstance(step, events.Step)]
    assert steps == [("one", "installing hello_1.0_all.deb")]


def test_files_reboots_and_snapshots(bookworm: str, environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/sub/file").write_text("of the host\n")
    with postroj.machine(bookworm, name="again") as machine:
        with pytest.raises(postroj.UsageError):
            machine.push(tmp_path, "srv")
        with pytest.raises(postroj.HostError) as caught:
            machine.pull("/srv/nothing", tmp_path)
        assert "/srv/nothing" in caught.value.what
        machine.push(tmp_path / "tree", "/srv/")
        assert machine.command(["stat", "-c%U", "/srv/tree/sub/file"]).output == "root\n"
        number = machine.snapshot(timeout=60)
        machine.command(["rm", "-r", "/srv/tree", "/etc/issue"])
        machine.reboot(timeout=60)
        files = machine.changes().files
        assert files["/etc/issue"].what == "removed" and "/srv/tree" not in files
        with pytest.raises(postroj.UsageError):
            machine.restore(number + 1)
        machine.restore(number)
        assert machine.changes().files["/srv/tree/sub/file"].size == len("of the host\n")
        machine.pull("/srv/tree", tmp_path / "back")
        machine.restore(0)
        assert "/srv/tree" not in machine.changes().files
    assert (tmp_path / "back/sub/file").read_text() == "of the host\n"
    with pytest.raises(postroj.MachineLostError):
        machine.reboot()


def test_streams(bookworm: str, environment: dict[str, str], tmp_path: Path) -> None:
    given = os.urandom(1 << 20)
    (tmp_path / "in").write_bytes(given)
    with (
        postroj.machine(bookworm) as machine,
        open(tmp_path / "in", "rb") as source,
        open(tmp_path / "out", "wb") as sink,
    ):
        assert machine.run(["sh", "-c", "cat; exit $STATUS"], stdin=source, stdout=sink, env={"STATUS": "7"}) == 7
    assert (tmp_path / "out").read_bytes() == given


def test_what_goes_wrong(bookworm: str, environment: dict[str, str], tmp_path: Path) -> None:
    fails = debs.build(tmp_path, "fails", service=None, postinst="echo no luck >&2; exit 1")
    foreign = debs.build(tmp_path, "foreign", fields={"Architecture": "s390x"})
    wrong = debs.build(tmp_path, "wrong", fields={"Architecture": "x86_64"})
    with postroj.machine(bookworm) as machine:
        with pytest.raises(postroj.InstallError, match="postinst of fails"):
            machine.install(fails)
        with pytest.raises(postroj.InstallError, match="which Debian calls amd64"):
            machine.install(wrong)
        with pytest.raises(postroj.UsageError, match="is for s390x"):
            machine.install(foreign)
        with pytest.raises(postroj.UsageError, match="no package"):
            machine.install()
        with pytest.raises(postroj.DeadlineError) as late:
            machine.command(["sh", "-c", "echo begun; sleep infinity"], timeout=0.5)
        assert late.value.why == "begun\n"
        assert machine.command(["no-such-command"]).status == 127
        with pytest.raises(OSError):
            machine.connect("localhost", 9)
        with pytest.raises(postroj.UsageError, match="name"):
            machine.watch_unit("a/b")
        with pytest.raises(postroj.MachineLostError) as lost:
            machine.command(["systemctl", "poweroff", "--force", "--force"])
        assert lost.value.by_guest is True
    with pytest.raises(postroj.MachineLostError, match="was removed"):
        machine.command(["true"])


def test_an_exception_removes_the_machine(bookworm: str, environment: dict[str, str]) -> None:
    with pytest.raises(ZeroDivisionError), postroj.machine(bookworm, name="gone"):
        raise ZeroDivisionError
    with postroj.machine(bookworm, name="gone") as machine:  # the name is free
        assert machine.failed_units() == []
