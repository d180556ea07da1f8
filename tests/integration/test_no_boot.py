"""`postroj run --no-boot`: a command in an image that is not booted, as good as in one that is."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import controllers
from moments import deliver, running, started, until
from netting import CONNECT, serving
from postroj import events, image
from postroj.capture import Tail, sink_into
from postroj.container import Bind, Options
from postroj.container.host import machined
from postroj.container.unbooted import run_unbooted
from postroj.errors import GuestSetupError, HostError, UsageError
from postroj.streams import Streams
from residue import Residue
from support import POSTROJ, STATE, Run
from typist import at_terminal

_AWKWARD = ["two words", "", "$HOME $$ `id`", "100%d %n", "back\\slash", "* ? ~ ; | &", "line\nbreak", "ünïcödé", "--"]


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 5"], 5),
        (["sh", "-c", "exit 255"], 255),
        (["sh", "-c", "kill -KILL $$"], 137),
        (["sh", "-c", "kill -TERM $$"], 143),
        (["sh", "-c", "kill -INT $$"], 130),
        (["sh", "-c", "kill -SEGV $$"], 139),
        (["/etc/passwd"], 126),
        (["/etc"], 126),
        (["no-such-command"], 127),
        (["/no/such/command"], 127),
        (["exit", "3"], 127),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_status_is_the_commands(command: list[str], status: int, bookworm: str, postroj: Run) -> None:
    done = postroj("run", "--no-boot", bookworm, *command)
    assert (done.returncode, done.stdout) == (status, "")
    assert bool(done.stderr) == (status in (126, 127)), done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_has_booted(bookworm: str, postroj: Run) -> None:
    """Its PID 1 is nspawn's, and the command the first that runs."""
    done = postroj("run", "--no-boot", bookworm, "sh", "-c", "cat /proc/1/comm; ls /run/systemd/system")
    assert done.stdout not in ("", "systemd\n")
    assert done.returncode != 0


def test_streams_are_separate(bookworm: str, postroj: Run) -> None:
    done = postroj("run", "--no-boot", bookworm, "sh", "-c", "echo out; echo err >&2; echo again >/dev/stderr")
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "err\nagain\n")


@pytest.mark.once
def test_stdin(bookworm: str, postroj: Run) -> None:
    assert postroj("run", "--no-boot", bookworm, "cat").stdout == ""
    assert postroj("run", "--no-boot", bookworm, "cat", input="hello\n").stdout == "hello\n"


@pytest.mark.once
def test_command_has_no_other_descriptors(bookworm: str, postroj: Run) -> None:
    done = postroj("run", "--no-boot", bookworm, "ls", "/proc/self/fd")
    assert done.stdout == "0\n1\n2\n3\n"  # the last is that of the directory


@pytest.mark.once
def test_binary_data_goes_through_unchanged(bookworm: str, environment: dict[str, str]) -> None:
    data = os.urandom(16 << 20)
    command = [POSTROJ, "run", "--no-boot", bookworm, "cat"]
    done = subprocess.run(command, input=data, capture_output=True, env=environment, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == data


@pytest.mark.once
def test_files_are_read_and_written_in_place(bookworm: str, environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "in").write_text("one\ntwo\n")
    (tmp_path / "out").write_text("there\n")
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("ab") as sink:
        source.seek(4)
        command = [POSTROJ, "run", "--no-boot", bookworm, "cat"]
        subprocess.run(command, stdin=source, stdout=sink, env=environment, check=True)
    assert (tmp_path / "out").read_text() == "there\ntwo\n"


@pytest.mark.once
def test_output_that_nobody_reads_any_more(bookworm: str, environment: dict[str, str]) -> None:
    with started([POSTROJ, "run", "--no-boot", bookworm, "yes"], environment) as process:
        assert process.stdout is not None
        assert process.stdout.read(4) == b"y\ny\n"
        process.stdout.close()
        assert process.wait(timeout=60) == 141
        assert process.stderr is not None
        assert process.stderr.read() == b""


@pytest.mark.once
def test_arguments_and_variables_are_unchanged(bookworm: str, postroj: Run) -> None:
    values = [value for value in _AWKWARD if "\n" not in value]
    options = [f"--env=V{number}={value}" for number, value in enumerate(values)]
    script = 'printf "%s\\0" "$@"; for n in 0 1 2 3 4 5 6 7; do eval "printf \'%s\\0\' \\"\\$V$n\\""; done'
    done = postroj("run", "--no-boot", *options, bookworm, "sh", "-c", script, "sh", *_AWKWARD)
    assert done.stdout.split("\0") == [*_AWKWARD, *values, ""]


@pytest.mark.once
def test_workdir(bookworm: str, postroj: Run, tmp_path: Path) -> None:
    assert postroj("run", "--no-boot", bookworm, "pwd").stdout == "/\n"
    assert postroj("run", "--no-boot", "--workdir=/usr/share", bookworm, "pwd").stdout == "/usr/share\n"
    done = postroj("run", "--no-boot", f"--bind-ro={tmp_path}", f"--workdir={tmp_path}", bookworm, "pwd")
    assert done.stdout == f"{tmp_path}\n"
    done = postroj("run", "--no-boot", "--workdir=/no/such", bookworm, "true")
    assert (done.returncode, done.stderr) == (126, "postroj: the guest has no directory /no/such to run in\n")


@pytest.mark.once
def test_user(bookworm: str, postroj: Run) -> None:
    script = 'id -un; echo "$HOME"; echo "$USER"; echo works >/dev/stderr'
    assert postroj("run", "--no-boot", bookworm, "sh", "-c", script).stdout == "root\n/root\nroot\n"
    done = postroj("run", "--no-boot", "--user=games", bookworm, "sh", "-c", script)
    assert (done.stdout, done.stderr) == ("games\n/usr/games\ngames\n", "works\n")
    assert postroj("run", "--no-boot", "-u", "65534", bookworm, "id", "-u").stdout == "65534\n"
    done = postroj("run", "--no-boot", "--user=nobody-there", bookworm, "true")
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.splitlines()[0] == "postroj: the guest cannot run `true` as the user 'nobody-there'"


@pytest.mark.once
def test_binds(bookworm: str, postroj: Run, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(f"{name}\n")
    script = "cat /mnt/one/file /mnt/two/file; echo guest >/mnt/one/new; echo guest >/mnt/two/new"
    binds = [f"--bind={tmp_path}/one:/mnt/one", f"--bind-ro={tmp_path}/two:/mnt/two"]
    done = postroj("run", "--no-boot", *binds, bookworm, "sh", "-c", script)
    assert done.stdout == "one\ntwo\n"
    assert "Read-only file system" in done.stderr
    assert (tmp_path / "one/new").read_text() == "guest\n"
    assert os.listdir(tmp_path / "two") == ["file"]


@pytest.mark.once
def test_image_is_not_changed(bookworm: str, postroj: Run) -> None:
    assert postroj("run", "--no-boot", bookworm, "sh", "-c", "echo x >/etc/changed").returncode == 0
    assert postroj("run", "--no-boot", bookworm, "test", "-e", "/etc/changed").returncode == 1


def test_root_in_it_is_nobody_outside(bookworm: str, environment: dict[str, str]) -> None:
    with started([POSTROJ, "run", "--no-boot", bookworm, "sleep", "31423"], environment) as process:
        pid = until(lambda: running("sleep", "31423"), "the command runs")
        assert os.stat(f"/proc/{pid}").st_uid >= 0x30000000
        process.terminate()
        assert process.wait(timeout=60) == 143


# --- networks ---


def test_network_is_there_from_the_beginning(bookworm: str, postroj: Run) -> None:
    done = postroj("run", "--no-boot", bookworm, "hostname", "--all-ip-addresses")
    assert done.stdout.startswith("10.213.")
    done = postroj("run", "--no-boot", bookworm, "apt-get", "update", "--error-on=any")
    assert done.returncode == 0, done.stdout + done.stderr


def test_network_none(bookworm: str, postroj: Run) -> None:
    assert postroj("run", "--no-boot", "--network=none", bookworm, "ls", "/sys/class/net").stdout == "lo\n"


def test_network_host(bookworm: str, postroj: Run) -> None:
    with serving("127.0.0.1") as server:
        words = ["sh", "-c", CONNECT, "sh", "127.0.0.1", str(server.port)]
        done = postroj("run", "--no-boot", "--network=host", bookworm, *words)
        assert done.returncode == 0
        assert "is on the host's network" in done.stderr
        assert postroj("run", "--no-boot", bookworm, *words).returncode != 0


def test_network_that_is_shared(bookworm: str, environment: dict[str, str], postroj: Run) -> None:
    lab = ["run", "--no-boot", "--network=lab"]
    with started([POSTROJ, *lab, "--name=db", bookworm, "sleep", "31424"], environment) as process:
        until(lambda: running("sleep", "31424"), "the command runs")
        done = postroj(*lab, bookworm, "getent", "hosts", "db")
        assert done.stdout.split()[0].startswith("10.213.")
        process.terminate()
        assert process.wait(timeout=60) == 143


def test_privileged_is_told(bookworm: str, postroj: Run) -> None:
    done = postroj("run", "--no-boot", "--privileged", bookworm, "cat", "/proc/self/uid_map")
    assert done.stdout.split() == ["0", "0", "4294967295"]
    assert "is privileged" in done.stderr


# --- limits ---


def test_out_of_memory_is_told(bookworm: str, postroj: Run) -> None:
    controllers.need("memory")
    script = 'my $memory = "x" x (200 << 20); print "done\\n"'
    done = postroj("run", "--no-boot", "--memory=100M", bookworm, "perl", "-e", script)
    assert (done.returncode, done.stdout) == (137, "")
    assert "the kernel's OOM killer ended processes in postroj-debian-bookworm" in done.stderr


def test_disk_is_limited(bookworm: str, postroj: Run) -> None:
    words = ["dd", "if=/dev/zero", "of=/root/file", "bs=1M", "count=64"]
    done = postroj("run", "--no-boot", "--disk=16M", bookworm, *words)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr


# --- its end ---


@pytest.mark.once
def test_timeout(bookworm: str, postroj: Run) -> None:
    script = "trap '' TERM; echo on; sleep 31418"
    done = postroj("run", "--no-boot", "--timeout=60", bookworm, "sh", "-c", script, timeout=180)
    assert (done.returncode, done.stdout) == (124, "on\n")
    assert done.stderr.splitlines()[0].endswith("did not end within 60 s")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda signum: signum.name)
def test_ended_by_a_signal(signum: signal.Signals, bookworm: str, environment: dict[str, str], postroj: Run) -> None:
    before = Residue.take()
    with started([POSTROJ, "run", "--no-boot", bookworm, "sleep", "31422"], environment) as process:
        until(lambda: running("sleep", "31422"), "the command runs")
        deliver(process, signum)
        out, err = process.communicate(timeout=60)
    assert (out, err) == (b"", b"")
    if signum is signal.SIGKILL:
        assert Residue.settled_by_kernel(before.by_kernel()) == before.by_kernel()
        assert postroj("run", "--no-boot", bookworm, "true").returncode == 0
    else:
        assert process.returncode == 128 + signum
    assert Residue.left(before) == before


def test_terminated_by_machinectl(bookworm: str, environment: dict[str, str]) -> None:
    if not machined.is_there():
        pytest.skip("this host has no machined")
    with started([POSTROJ, "run", "--no-boot", bookworm, "sleep", "31426"], environment) as process:
        until(lambda: running("sleep", "31426"), "the command runs")
        subprocess.run(["machinectl", "terminate", "postroj-debian-bookworm"], check=True)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 125
    assert err.startswith(b"postroj: the machine postroj-debian-bookworm is lost: its unit was stopped"), err


# --- at a terminal ---


def test_terminal(bookworm: str, environment: dict[str, str]) -> None:
    script = "tty; stty size; echo $TERM; test -t 0 && test -t 1 && test -t 2 && echo all three; exit 42"
    words = [POSTROJ, "run", "--no-boot", "-it", bookworm, "sh", "-c", script]
    with at_terminal(words, environment) as typist:
        before = typist.settings()
        typist.read_until(r"/dev/pts/\d+\r\n31 97\r\nxterm\r\nall three\r\n")
        assert typist.end() == 42
        assert typist.rest() == b""
        assert typist.settings() == before


def test_terminal_of_a_user(bookworm: str, environment: dict[str, str]) -> None:
    words = [POSTROJ, "run", "--no-boot", "-it", "--user=games", bookworm, "sh", "-c", "id -un; cat </dev/tty"]
    with at_terminal(words, environment) as typist:
        typist.read_until("games\r\n")
        typist.type("hello\n")
        typist.read_until("hello\r\nhello\r\n")
        typist.type("\x04")
        assert typist.end() == 0


def test_job_control(bookworm: str, environment: dict[str, str]) -> None:
    with at_terminal([POSTROJ, "run", "--no-boot", "-it", bookworm, "bash", "--norc"], environment) as typist:
        typist.read_until(r"bash-[\d.]+# ")
        typist.type("cat -uE\n")
        until(lambda: running("cat", "-uE"), "the command runs")
        typist.type("\x1a")
        typist.read_until(r"Stopped +cat")
        typist.type("fg\n")
        typist.read_until(r"fg\r\n[^\n]*cat -uE\r\n")
        typist.type("hello\n")  # its answer shows that the terminal is its own again
        typist.read_until(r"hello\r\nhello\$\r\n")
        typist.type("\x03")
        typist.read_until(r"\^C\r\n(.*)bash-[\d.]+# ")
        typist.type("exit 9\n")
        assert typist.end() == 9


def test_ctrl_c_at_the_terminal_is_the_commands(bookworm: str, environment: dict[str, str]) -> None:
    script = "trap 'echo caught; exit 7' INT; echo ready; while :; do sleep 0.05; done"
    words = [POSTROJ, "run", "--no-boot", "-it", bookworm, "sh", "-c"]
    with at_terminal([*words, script], environment) as typist:
        typist.read_until("ready")
        typist.type("\x03")
        typist.read_until("caught")
        assert typist.end() == 7
    with at_terminal([*words, "echo ready; exec sleep 31425"], environment) as typist:
        typist.read_until("ready")
        typist.type("\x03")
        assert typist.end() == 130


def test_last_line_is_not_lost(bookworm: str, environment: dict[str, str]) -> None:
    words = [POSTROJ, "run", "--no-boot", "-it", bookworm, "sh", "-c", "seq 20000; printf the-end"]
    with at_terminal(words, environment) as typist:
        assert typist.end() == 0
        assert typist.rest().endswith(b"\r\n20000\r\nthe-end")


# --- an image of one program, and no shell ---


@pytest.fixture
def tiny(bookworm: str) -> Iterator[str]:
    """One file, which is linked statically, and links."""
    with image.open_image(bookworm) as whole, tempfile.TemporaryDirectory(dir=STATE, prefix="tiny-") as root:
        shutil.copy(f"{whole.root}/usr/sbin/ldconfig", f"{root}/program")
        os.symlink("/program", f"{root}/link")
        os.symlink("/etc/passwd", f"{root}/away")
        os.chmod(root, 0o755)
        yield root


def _run(root: str, *argv: str, **more: Any) -> tuple[int, str, list[str]]:
    """Its status, what it has printed, and what postroj has warned of."""
    warnings: list[str] = []

    def note(event: events.Event) -> None:
        if isinstance(event, events.Warn):
            warnings.append(event.text)

    output = Tail(lambda line: None)
    with events.subscribed(note), sink_into(output.add) as sink:
        status = run_unbooted(root, argv, Streams(None, sink, sink), name="tiny", **more)
    return status, output.text(), warnings


@pytest.mark.parametrize("name", ["/program", "/link", "program", "./link"])
def test_image_without_a_shell(name: str, tiny: str) -> None:
    more = {"env": {"PATH": "/nowhere:/"}}
    status, printed, warnings = _run(tiny, name, "--version", **more)
    assert (status, warnings) == (0, [])
    assert printed.startswith("ldconfig (")
    assert _run(tiny, name, "--no-such-option")[0] == (64 if "/" in name else 127)
    assert sorted(os.listdir(tiny)) == ["away", "link", "program"]


@pytest.mark.parametrize(
    ("name", "more", "status", "warning"),
    [
        ("/no/such", {}, 127, "the guest has no /no/such"),
        ("program", {}, 127, "the guest has no program"),
        ("/away", {}, 127, "the guest has no /away"),
        ("/", {}, 126, "/ cannot be executed in the guest"),
        ("/program", {"workdir": "/no/such"}, 126, "the guest has no directory /no/such to run in"),
    ],
)
def test_what_an_image_without_a_shell_cannot_run(
    name: str, more: dict[str, str], status: int, warning: str, tiny: str
) -> None:
    assert _run(tiny, name, **more) == (status, "", [warning])


def test_image_without_a_shell_has_no_terminal_and_no_users(tiny: str) -> None:
    with pytest.raises(UsageError):
        _run(tiny, "/program", terminal=0)
    with pytest.raises(GuestSetupError):
        _run(tiny, "/program", user="games")


def test_a_shell_that_cannot_be_executed_is_said(tiny: str) -> None:
    os.mkdir(f"{tiny}/bin")
    Path(f"{tiny}/bin/sh").write_text("#!/no/such/interpreter\n")
    os.chmod(f"{tiny}/bin/sh", 0o755)
    for _ in range(3):  # it ends before or after it is met
        with pytest.raises(HostError, match="the guest's /bin/sh could not be executed"):
            _run(tiny, "/program", "--version")


def test_what_is_bound_into_an_image_without_a_shell(tiny: str) -> None:
    bind = Bind(f"{tiny}/program", "/opt/bound")
    status, printed, _ = _run(tiny, "/opt/bound", "--version", binds=[bind], options=Options(network="none"))
    assert (status, printed[:10]) == (0, "ldconfig (")
