"""`postroj run`: the command's own exit status, streams, variables, arguments and files."""

import os
import subprocess
from pathlib import Path

import pytest

from badinput import assert_told
from moments import started
from support import POSTROJ, Run

_AWKWARD = [
    "two words",
    "",
    'it\'s "quoted"',
    "$HOME ${HOME} $$ `id` $(id)",
    "100%d %n %% %H",
    "back\\slash \\n \\x41 \\",
    "* ? [a] {b} ~ ; | & < > # !",
    "line\nbreak\ttab",
    "ünïcödé ✓",
    "--help",
    "-",
]
"""What a shell, systemd's specifiers and systemd's unquoting would each make something else of."""


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["true"], 0),
        (["false"], 1),
        (["sh", "-c", "exit 42"], 42),
        (["sh", "-c", "exit 203"], 203),
        (["sh", "-c", "exit 255"], 255),
        (["sh", "-c", "kill -KILL $$"], 137),
        (["sh", "-c", "kill -TERM $$"], 143),
        (["sh", "-c", "kill -PIPE $$"], 141),
        (["sh", "-c", "kill -SEGV $$"], 139),
        (["/etc/passwd"], 126),
        (["/etc"], 126),
        (["no-such-command"], 127),
        (["/no/such/command"], 127),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_status_is_the_commands(command: list[str], status: int, bookworm: str, postroj: Run) -> None:
    done = postroj("run", bookworm, *command)
    assert (done.returncode, done.stdout) == (status, "")


@pytest.mark.once
def test_user_that_is_not_there(bookworm: str, postroj: Run) -> None:
    done = postroj("run", "--user=nobody-there", bookworm, "true")
    assert (done.returncode, done.stdout) == (125, "")
    assert "the guest cannot run `true` as the user 'nobody-there'" in done.stderr.splitlines()[0]
    assert "Traceback" not in done.stderr


@pytest.mark.once
@pytest.mark.parametrize("how", [[], ["--no-boot"]])
def test_uid_without_an_entry_and_group(how: list[str], bookworm: str, postroj: Run) -> None:
    done = postroj("run", *how, "-u", "12345", bookworm, "id")
    assert_told(done, 125, "cannot run `id` as the user '12345'", "setpriv --reuid=12345 --regid=12345 --clear-groups")
    done = postroj("run", *how, "-u", "daemon:adm", bookworm, "id")
    assert_told(done, 125, "--user=daemon:adm: a user is given without a group", "setpriv --reuid=daemon --regid=adm")
    become = ["setpriv", "--reuid=12345", "--regid=adm", "--clear-groups"]
    assert postroj("run", *how, bookworm, "--", *become, "id", "-un").returncode == 1
    assert postroj("run", *how, bookworm, "--", *become, "id", "-gn").stdout == "adm\n"


@pytest.mark.once
@pytest.mark.parametrize("how", [[], ["--no-boot"]])
@pytest.mark.parametrize("stream", [1, 2])
def test_output_that_is_lost_as_the_disk_is_full(
    how: list[str], stream: int, bookworm: str, environment: dict[str, str], tmp_path: Path
) -> None:
    script = 'mount -t tmpfs -o size=8k tmpfs "$1" && cd "$1" && shift && head -c 8192 /dev/zero >zeros && exec "$@"'
    script += f" {stream}>output"
    command = [POSTROJ, "run", *how, bookworm, "--", "sh", "-c", f"echo hi >&{stream}"]
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", script, "sh", tmp_path, *command],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=environment,
    )
    told = "postroj: standard output cannot be written: No space left on device\n" if stream == 1 else ""
    assert (done.returncode, done.stdout, done.stderr) == (125, "", told)


@pytest.mark.once
def test_workdir_that_is_not_there(bookworm: str, postroj: Run) -> None:
    done = postroj("run", "--workdir=/no/such", bookworm, "true")
    assert done.returncode == 126
    assert "/no/such" in done.stderr


def test_streams_are_separate(bookworm: str, postroj: Run) -> None:
    done = postroj("run", bookworm, "sh", "-c", "echo out; echo err >&2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "err\n")


@pytest.mark.once
def test_stdin_is_empty_without_one(bookworm: str, postroj: Run) -> None:
    assert postroj("run", bookworm, "cat").stdout == ""


@pytest.mark.once
def test_verbose_says_nothing_on_stdout(bookworm: str, postroj: Run) -> None:
    done = postroj("run", "-vv", bookworm, "echo", "mine")
    assert (done.returncode, done.stdout) == (0, "mine\n")
    assert "boots from" in done.stderr


@pytest.mark.once
def test_binary_data_goes_through_unchanged(bookworm: str, environment: dict[str, str]) -> None:
    data = os.urandom(16 << 20)
    done = subprocess.run(
        [POSTROJ, "run", bookworm, "cat"],
        input=data,
        capture_output=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == data


@pytest.mark.once
def test_output_that_nobody_reads_any_more(bookworm: str, environment: dict[str, str]) -> None:
    """As in `postroj run … yes | head`: the command is ended by SIGPIPE, and nobody complains."""
    with started([POSTROJ, "run", bookworm, "yes"], environment) as process:
        assert process.stdout is not None
        assert process.stdout.read(4) == b"y\ny\n"
        process.stdout.close()
        assert process.wait(timeout=60) == 141
        assert process.stderr is not None
        assert process.stderr.read() == b""


@pytest.mark.once
def test_stdout_that_is_closed_from_the_start(bookworm: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", POSTROJ, "run", bookworm, "sh", "-c", "exit 7"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (7, False), done.stderr


@pytest.mark.once
def test_files_are_read_and_written_in_place(bookworm: str, environment: dict[str, str], tmp_path: Path) -> None:
    """As with `< file` and `>> file`: the descriptors are the command's own, offset and all."""
    (tmp_path / "in").write_text("one\ntwo\n")
    (tmp_path / "out").write_text("there\n")
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("ab") as sink:
        source.seek(4)
        subprocess.run([POSTROJ, "run", bookworm, "cat"], stdin=source, stdout=sink, env=environment, check=True)
    assert (tmp_path / "out").read_text() == "there\ntwo\n"


@pytest.mark.once
def test_arguments_are_unchanged(bookworm: str, postroj: Run) -> None:
    done = postroj("run", bookworm, "printf", "%s\\0", *_AWKWARD)
    assert done.stdout.split("\0") == [*_AWKWARD, ""]


@pytest.mark.once
def test_variables_are_unchanged(bookworm: str, postroj: Run) -> None:
    values = [value for value in _AWKWARD if "\n" not in value]
    options = [f"--env=V{number}={value}" for number, value in enumerate(values)]
    script = 'for number; do eval "printf \'%s\\0\' \\"\\$V$number\\""; done'
    done = postroj("run", *options, bookworm, "sh", "-c", script, "sh", *map(str, range(len(values))))
    assert done.stdout.split("\0") == [*values, ""]


@pytest.mark.once
def test_variable_of_ours_is_passed_on_and_no_other(bookworm: str, postroj: Run) -> None:
    ours = {"MINE": "50% of $it", "OTHER": "secret"}
    done = postroj("run", "-e", "MINE", "-e", "NOT_SET", "-e", "GIVEN=a=b", bookworm, "env", env=ours)
    seen = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert (seen["MINE"], seen["GIVEN"]) == ("50% of $it", "a=b")
    assert not {"OTHER", "NOT_SET"} & set(seen)
    assert not [name for name in seen if name.startswith("POSTROJ")]


@pytest.mark.once
def test_workdir(bookworm: str, postroj: Run) -> None:
    assert postroj("run", bookworm, "pwd").stdout == "/\n"
    assert postroj("run", "--workdir=/usr/share", bookworm, "pwd").stdout == "/usr/share\n"


@pytest.mark.once
def test_user(bookworm: str, postroj: Run) -> None:
    script = 'id -un; echo "$HOME"; echo "$USER"'
    assert postroj("run", bookworm, "sh", "-c", script).stdout == "root\n/root\nroot\n"
    assert postroj("run", "--user=games", bookworm, "sh", "-c", script).stdout == "games\n/usr/games\ngames\n"
    assert postroj("run", "-u", "65534", bookworm, "id", "-u").stdout == "65534\n"


@pytest.mark.once
@pytest.mark.parametrize("name", ["plain", "with space", "with:colon", "back\\slash", "comma,percent%d", "-dash"])
def test_bind_of_a_directory(name: str, bookworm: str, postroj: Run, tmp_path: Path) -> None:
    source = tmp_path / name
    source.mkdir()
    (source / "file").write_text("from the host\n")
    # A colon that is part of a path is escaped, as systemd-nspawn(1) has it.
    words = [str(path).replace(":", "\\:") for path in (source, f"/mnt/{name}")]
    script = 'cat "$1/file"; echo guest >"$1/new"'
    done = postroj("run", f"--bind={':'.join(words)}", bookworm, "sh", "-c", script, "sh", f"/mnt/{name}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "from the host\n", "")
    assert (source / "new").read_text() == "guest\n"


@pytest.mark.once
def test_bind_ro_cannot_be_written_to(bookworm: str, postroj: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("as it was\n")
    script = "cat /mnt/file; echo x >/mnt/file; echo x >/mnt/new"
    done = postroj("run", f"--bind-ro={tmp_path}:/mnt", bookworm, "sh", "-c", script)
    assert done.stdout == "as it was\n"
    assert done.stderr.lower().count("read-only file system") == 2
    assert (tmp_path / "file").read_text() == "as it was\n"
    assert os.listdir(tmp_path) == ["file"]


def test_image_is_not_changed(bookworm: str, postroj: Run) -> None:
    postroj("run", bookworm, "sh", "-c", "echo x >/etc/changed; rm -rf /usr/share/doc")
    assert postroj("run", bookworm, "sh", "-c", "test -e /usr/share/doc && ! test -e /etc/changed").returncode == 0


@pytest.mark.once
def test_timeout(bookworm: str, postroj: Run) -> None:
    # Long enough for a boot while other lanes use all processors.
    done = postroj("run", "--timeout=60", bookworm, "sh", "-c", "trap '' TERM; echo on; sleep 31418", timeout=180)
    assert (done.returncode, done.stdout) == (124, "on\n")
    assert done.stderr.splitlines()[0].endswith("did not end within 60 s")


@pytest.mark.once
@pytest.mark.parametrize("dashes", [[], ["--"]], ids=["without --", "with --"])
def test_options_of_the_command_are_its_own(dashes: list[str], bookworm: str, postroj: Run) -> None:
    done = postroj("run", bookworm, *dashes, "echo", "-v", "--name=x", "--", "--timeout", "-it")
    assert done.stdout == "-v --name=x -- --timeout -it\n"


@pytest.mark.once
def test_alias_and_name(bookworm: str, postroj: Run) -> None:
    assert postroj("run", "--name=my-machine", "debian-12", "hostname").stdout == "my-machine\n"
