"""The program as it is typed: its options, exit statuses and what it prints, as far as no machine is needed."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path

import pytest

from postroj import __version__, events
from postroj.cli import COMMANDS, build_parser, completion, execute
from postroj.cli.command_options import _variable
from postroj.cli.common import seconds, seconds_or_zero
from postroj.cli.docker_commands import translate
from postroj.cli.image import _is_old
from postroj.cli.pull import _locked
from postroj.cli.show import Show, from_system, paint
from postroj.container import Bind
from postroj.container.launch import binds
from postroj.errors import InstallError, PostrojError, UsageError
from postroj.image import boxes
from postroj.image.box import is_possible
from postroj.image.catalogue import entries
from postroj.image.source import is_digest
from postroj.nearest import did_you_mean

from .conftest import Postroj
from .trees import pulled


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def status_of(*words: str) -> int:
    """Run it in this process."""
    try:
        return execute(words)
    except SystemExit as left:
        return int(left.code or 0)


# options and statuses


def test_version(postroj: Postroj) -> None:
    done = postroj("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"postroj {__version__}\n", "")


@pytest.mark.parametrize(
    "words",
    [
        "--help", "--version", "version", "run --help", "image rm --help", "list-images", "list-images --format=json",
        "completion bash", "doctor",
    ],
)  # fmt: skip
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_standard_output_is_told(words: str, unbuffered: str) -> None:
    command = [sys.executable, "-m", "postroj", *words.split()]
    with open("/dev/full", "w") as full:
        env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True, env=env
        )
    assert done.returncode == 3
    assert done.stderr == "postroj: standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize("module", ["container", "image", "probe"])
def test_a_full_disk_behind_the_output_of_a_module_is_told(module: str) -> None:
    words = [sys.executable, "-m", f"postroj.{module}", "--help"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 3
    assert done.stderr == "postroj: standard output cannot be written: No space left on device\n"


def test_a_full_disk_behind_standard_error_keeps_the_status() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "postroj", "--nothing"]
        assert subprocess.run(command, stdin=subprocess.DEVNULL, stderr=full).returncode == 2


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--help") == 0
    told = capsys.readouterr()
    assert all(command in told.out and summary in " ".join(told.out.split()) for command, summary in COMMANDS.items())
    assert told.err == ""


def test_without_a_command_the_help_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of() == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("usage: postroj ")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_its_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert status_of(command, "--help") == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"usage: postroj {command} ") and "--verbose" in told.out
    assert told.err == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_help_can_be_written_in_any_encoding(postroj: Postroj, command: str) -> None:
    done = postroj(command, "--help", env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["nothing"], 2), (["--nothing"], 2), (["--vers"], 2),
        (["pkgprobe", "--nothing"], 2),
        (["pkgprobe", "--image=debian-12", "--nothing"], 2), (["pkgprobe", "--image=debian-12", "--check-x", "x"], 2),
        (["pkgprobe", "--image=debian-12", "stray"], 2), (["pkgprobe", "--image"], 2),
        (["pkgprobe", "--image=debian-12", "--timeout=0"], 2), (["pkgprobe", "--image=debian-12", "--timeout=nan"], 2),
        (["pkgprobe", "--image=debian-12", "--stay-active=-1"], 2),
        (["pkgprobe", "--image=debian-12", "--network-timeout=x"], 2),
        (["run"], 125), (["run", "--nothing"], 125), (["run", "--nothing", "debian-12", "true"], 125),
        (["run", "--timeout=-1", "debian-12", "true"], 125), (["run", "--timeout=inf", "debian-12", "true"], 125),
        (["pull", "--nothing"], 2), (["list-images", "--format=xml"], 2), (["list-images", "stray"], 2),
        (["list-images", "--supported", "--end-of-life"], 2), (["image"], 2), (["image", "nothing"], 2),
        (["image", "rm"], 2), (["image", "import", "x"], 2), (["image", "prune", "--older-than=x"], 2),
        (["image", "prune", "--unused-for=-1d"], 2), (["image", "prune", "--unused-for=1 d"], 2),
        (["doctor", "--nothing"], 2), (["completion"], 2), (["completion", "csh"], 2), (["list-images", "-vx"], 2),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_told_in_one_sentence(
    capsys: pytest.CaptureFixture[str], words: list[str], status: int
) -> None:
    assert status_of(*words) == status
    told = capsys.readouterr()
    assert told.out == ""
    first, second = told.err.splitlines()
    assert first.startswith("postroj: ") and second.strip().startswith("see `postroj")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["pkgprobe"], 2), (["pkgprobe", "--image=debian-12"], 2), (["pkgprobe", "--check-unit=x"], 2),
        (["pkgprobe", "--package=nginx"], 2),
        (["pkgprobe", "--image=plan9", "--check-unit=x"], 2),
        (["pkgprobe", "--image=debian-12", "--check-unit=a/b"], 2),
        (["pkgprobe", "--image=debian-12", "--check-network=nonsense"], 2),
        (["pkgprobe", "--image=debian-12", "--package=./nothing.deb"], 2),
        (["pkgprobe", "--image=debian-12", "--package=-o"], 2),
        *((["pull", "--locked", *more], 2) for more in (["--all"], ["--update"], ["--platform=amd64"], ["--lock"])),
        (["pull", "--locked", "debian-12", "--update"], 2), (["pull", "--locked", "debian-12"], 2),
        (["pull", "--lock"], 2), (["pull", "--update"], 2), (["pull", "--offline"], 2),
        (["pull", "--platform=arm64"], 2),
        (["pull", "debian-12", "--platform=nonsense/x"], 2), (["pull", "debian-12@sha256:1"], 2),
        (["pull", "debian-12", "bootstrap:sid", "--platform=arm64"], 2), (["pull", "docker:x"], 2),
        (["pull", "docker://--help"], 2), (["pull", "./x.tar#sha256="], 2), (["pull", "https://h/x.tar#sha256=1"], 2),
        (["pull", "https://user:word@h/x.tar"], 2), (["pkgprobe", "--image=docker://x y", "--check-unit=x"], 2),
        (["list-images", "--family=rpm"], 2), (["image", "rm", "plan9"], 2), (["image", "inspect", "docker://x y"], 2),
        (["image", "import", "./x.tar", "../x"], 2), (["image", "import", "./x.tar#sha256=1", "x"], 2),
        (["pull"], 2), (["pull", "--all", "debian-12"], 2), (["pull", "plan9"], 2), (["pull", "debian-12", "plan9"], 2),
        (["run", "debian-12"], 125), (["run", "debian-12", "--"], 125), (["run", "plan9", "true"], 125),
        (["run", "--workdir=x", "debian-12", "true"], 125), (["run", "--user=a:b", "debian-12", "true"], 125),
        (["run", "--env==x", "debian-12", "true"], 125), (["run", "--bind=/nothing/there", "debian-12", "true"], 125),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_before_anything_is_done(
    capsys: pytest.CaptureFixture[str], places: Path, words: list[str], status: int
) -> None:
    assert status_of(*words) == status
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("postroj: ")
    assert "internal error" not in told.err
    assert not (places / "state").exists() and not (places / "downloads").exists()


# the words of docker


@pytest.mark.parametrize(
    ("words", "translated"),
    [
        ("-v run debian-12 ls -v", "run -v debian-12 ls -v"),
        ("run -v debian-12 ls", "run -v debian-12 ls"),
        ("-q -vv pkgprobe --image=x -v", "pkgprobe -q -vv --image=x -v"),
        ("--quiet --verbose pull x", "pull --quiet --verbose x"),
        ("-v image -v rm x -v", "image rm -v -v x -v"),
        ("images --pulled", "list-images --pulled"),
        ("image ls --pulled", "list-images --pulled"),
        ("-v image list", "list-images -v"),
        ("image pull debian-12", "pull debian-12"),
        ("rmi x", "image rm x"),
        ("inspect x", "image inspect x"),
        ("import ./x.tar x", "image import ./x.tar x"),
        ("container ls", "ps"),
        ("rm x", "stop x"),
        ("kill x", "stop x"),
        ("container exec -it x sh", "exec -it x sh"),
        ("container rm x", "stop x"),
        ("-v container run -q x ls", "run -v -q x ls"),
        ("version", "--version"),
        ("help", "--help"),
        ("help run", "run --help"),
        ("-v help rmi", "image rm --help"),
        ("help image export", "image export --help"),
        ("image --help", "image --help"),
        ("run debian-12 images ls help", "run debian-12 images ls help"),
        ("-v", "-v"),
        ("-v --version", "-v --version"),
        ("", ""),
    ],
)
def test_words_of_docker(words: str, translated: str) -> None:
    assert " ".join(translate(words.split())) == translated


_DOCKER_AND_PODMAN = (
    "artifact attach auto-update build builder buildx checkpoint commit compose config container context "
    "cp create diff events exec export farm generate healthcheck history image images import info init "
    "inspect kill kube load login logout logs machine manifest mount network node pause play plugin pod "
    "port ps pull push quadlet rename restart rm rmi run save search secret service stack start stats "
    "stop swarm system tag top trust unmount unpause unshare untag update version volume wait"
)
_BELOW = [
    "image build", "image history", "image import", "image inspect", "image load", "image ls", "image prune",
    "image pull", "image push", "image rm", "image save", "image tag", "container cp", "container create",
    "container diff", "container exec", "container inspect", "container ls", "container prune", "container rm",
    "container run",
]  # fmt: skip


@pytest.mark.parametrize("words", [*_DOCKER_AND_PODMAN.split(), *_BELOW])
def test_each_word_of_docker_and_podman_is_a_command_or_has_an_answer(words: str) -> None:
    try:
        translated = translate(words.split())
    except UsageError as error:
        assert error.what.startswith("there is no command '") and ": " in error.what and error.hint
    else:
        assert translated == ["--version"] or translated[0] in COMMANDS
        parser = build_parser([translated[0]])
        if translated[0] == "image" and translated[1:]:
            with pytest.raises(SystemExit) as left:  # its options, which it has
                parser.parse_args([*translated, "--help"])
            assert left.value.code == 0


@pytest.mark.parametrize("words", ["-vv run debian-12 true", "run -vv debian-12 true", "-v run -v debian-12 true"])
def test_verbosity_before_and_after_the_command(words: str) -> None:
    args = build_parser(["run"]).parse_args(translate(words.split()))
    assert (args.verbose, args.quiet, args.image) == (2, False, "debian-12")


@pytest.mark.parametrize("words", ["-q run debian-12 true", "run -q debian-12 true", "--quiet run debian-12 true"])
def test_quiet_before_and_after_the_command(words: str) -> None:
    assert build_parser(["run"]).parse_args(translate(words.split())).quiet is True


@pytest.mark.parametrize("words", ["vm ls -q", "vm -q ls", "-q vm ls", "image inspect -q x", "vm rm x -q"])
def test_quiet_of_a_command_in_a_command(words: str) -> None:
    translated = translate(words.split())
    assert build_parser([translated[0]]).parse_args(translated).quiet is True


def test_a_word_that_is_refused_is_not_what_was_meant() -> None:
    """As that of an option that another command has, or one that stands in the wrong place."""
    assert did_you_mean("--quiet", ["--quiet", "--quite"]) == "did you mean --quite?"
    assert did_you_mean("--quiet", ["--quiet"]) == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["rnu", "debian-12", "true"], "unknown command 'rnu': did you mean run?"),
        (["pkg-probe"], "unknown command 'pkg-probe': did you mean pkgprobe?"),
        (["help", "list-image"], "unknown command 'list-image': did you mean list-images?"),
        (["image", "inspct", "x"], "unknown command 'inspct': did you mean inspect?"),
        (["nothing"], "unknown command 'nothing'"),
        (["pkgprobe", "--image=x", "./x.deb"], "unexpected arguments: ./x.deb: did you mean --package=./x.deb?"),
        (["list-images", "./x.deb"], "unexpected arguments: ./x.deb\n"),
        (["pkgprobe", "--image=x", "--check-units=x"], "unknown options: --check-units=x: did you mean --check-unit?"),
        (["pull", "x", "--platfrom", "y"], "unknown options: --platfrom y: did you mean --platform?"),
        (["list-images", "x"], "unexpected arguments: x"),
        (["vm", "ls", "--quite"], "unknown options: --quite: did you mean --quiet?"),
        (["vm", "host", "--imag=x"], "unknown options: --imag=x: did you mean --image?"),
        (["attach", "x"], "there is no command 'attach': "),
        (["help", "events"], "there is no command 'events': "),
        (["container", "start", "x"], "there is no command 'start': "),
    ],
)
def test_the_nearest_word_is_named(capsys: pytest.CaptureFixture[str], words: list[str], told: str) -> None:
    assert status_of(*words) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith(f"postroj: {told}") and len(shown.err.splitlines()) == 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["-d"], "put `&` behind the command line"),
        (["--detach"], "put `&` behind the command line"),
        (["--volume=/a:/b"], "use --bind or --bind-ro"),
        (["--entrypoint=/x"], "write the command after the image"),
        (["-v", "/a:/b"], "--bind=/a:/b"),
    ],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root is told that first")
def test_options_of_docker_run(capsys: pytest.CaptureFixture[str], options: list[str], told: str) -> None:
    assert status_of("run", *options, "debian-12", "true") == 125
    assert told in capsys.readouterr().err


def test_options_that_docker_run_has_as_well() -> None:
    args = build_parser(["run"]).parse_args(["run", "--rm", "-p", "8080:80", "--publish=81:81", "debian-12", "--rm"])
    assert (args.image, args.command_line) == ("debian-12", ["--rm"])
    assert [(one.host_port, one.guest_port) for one in args.publish] == [(8080, 80), (81, 81)]


def test_options_behind_the_command_of_run_are_its_own() -> None:
    parser = build_parser(["run"])
    args = parser.parse_args(["run", "-e", "A=1", "debian-12", "ls", "-e", "--bind=x", "--version"])
    assert (args.image, args.env, args.bind) == ("debian-12", ["A=1"], [])
    assert args.command_line == ["ls", "-e", "--bind=x", "--version"]


@pytest.mark.parametrize(("text", "value"), [("1", 1.0), ("0.5", 0.5), ("1e3", 1000.0)])
def test_seconds(text: str, value: float) -> None:
    assert seconds(text) == seconds_or_zero(text) == value


@pytest.mark.parametrize("text", ["", "x", "-1", "nan", "inf", "1e99", "1s", "1,5", "1_0", "9" * 100])
def test_no_seconds(text: str) -> None:
    for of in (seconds, seconds_or_zero):
        with pytest.raises(argparse.ArgumentTypeError):
            of(text)


_NUMBERS = {
    "--stay-active": "is not a number of seconds: write 0 to 1000000",
    "--timeout": "is not a number of seconds: write 0.001 to 1000000",
    "--network-timeout": "is not a number of seconds: write 0.001 to 1000000",
    "--keep-for": "is not a duration: write 1s to 11d, as in 90s, 30m or 1h",
    "--memory": "is not a size: write 1M to 1024T, such as 512M",
    "--disk": "is not a size: write 1M to 1024T, such as 512M",
    "--cache-size": "is not a size: write 1M to 1024T, such as 512M",
    "--cpus": "is not a number of CPUs: write 0.01 to 8192",
    "--tasks": "is not a number of tasks: write 16 to 9999999",
    "--older-than": "is not a number of days: write 0d to 99999d",
    "--unused-for": "is not a number of days: write 0d to 99999d",
}


@pytest.mark.parametrize("text", ["", "x", "-1", "-0", "nan", "inf", "-inf", "1e300", "9" * 100])
@pytest.mark.parametrize("option", _NUMBERS)
def test_each_number_is_refused_in_the_same_words(capsys: pytest.CaptureFixture[str], option: str, text: str) -> None:
    words = ["image", "prune"] if _NUMBERS[option].endswith("d") else ["pkgprobe", "--image=debian-12"]
    assert status_of(*words, f"{option}={text}") == 2
    told, where = capsys.readouterr().err.splitlines()
    assert told == f"postroj: argument {option}: '{text[:80]}' {_NUMBERS[option]}" and where.startswith("  see `")


def test_each_option_with_a_number_is_tried() -> None:
    """One that is added has to be added to the table: its type is a function, and its words are those of the others."""
    parsers = [build_parser([name]) for name in ("pkgprobe", "run", "image")]
    tried = set(_NUMBERS) | {"--capability", "--publish"}
    for parser in parsers:
        assert {option for option in _options_with_a_type(parser) if option.startswith("--")} <= tried


def _options_with_a_type(parser: argparse.ArgumentParser) -> set[str]:
    found: set[str] = set()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= {option for inner in action.choices.values() for option in _options_with_a_type(inner)}
        elif action.type:
            found |= set(action.option_strings)
    return found


@pytest.mark.parametrize("text", ["0", "0.0", "00", "0.00", "0e0"])
def test_none_is_a_number_of_seconds_too(text: str) -> None:
    assert seconds_or_zero(text) == 0.0
    with pytest.raises(argparse.ArgumentTypeError):
        seconds(text)


def test_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "a=b")
    assert _variable("A=") == ("A", "")
    assert _variable("_a1=x=y z") == ("_a1", "x=y z")
    assert _variable("OURS") == ("OURS", "a=b")


@pytest.mark.parametrize("text", ["", "=", "=x", "1A=x", "A B=x", "A-B=x", "A=x\ny", "é=x"])
def test_no_variables(text: str) -> None:
    with pytest.raises(UsageError):
        _variable(text)


def test_binds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert binds.read(str(tmp_path), writable=True) == Bind(str(tmp_path), str(tmp_path), True)
    assert binds.read(f"{tmp_path}:/x", writable=False) == Bind(str(tmp_path), "/x", False)
    assert binds.read(".:/x", writable=False) == Bind(str(tmp_path.resolve()), "/x", False)


@pytest.mark.parametrize("text", [".:x", ".:", ".:../x", ".:/a/../b", "nothing", "nothing:/x"])
def test_no_binds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        binds.read(text, writable=False)


# what is shown


@pytest.mark.parametrize(
    ("stream", "environment", "shown"),
    [
        (Terminal(), {}, "\033[32mx\033[0m"),
        (Terminal(), {"NO_COLOR": ""}, "\033[32mx\033[0m"),
        (Terminal(), {"NO_COLOR": "1"}, "x"),
        (Terminal(), {"TERM": "dumb"}, "x"),
        (StringIO(), {}, "x"),
    ],
)
def test_colours(monkeypatch: pytest.MonkeyPatch, stream: StringIO, environment: dict[str, str], shown: str) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert paint("x", "green", stream) == shown


def test_an_error_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    Show().error(PostrojError("it is broken", why="one\ntwo", hint="mend it"))
    assert capsys.readouterr() == ("", "postroj: it is broken\n  | one\n  | two\n  mend it\n")


def test_an_error_has_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    Show().error(PostrojError("\x1b[2Ja", why="\x1b[2Jb\rc", hint="\x1b[2Jd"))
    assert not {"\x1b", "\r"} & set(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"quiet": True, "verbose": 0}, ["warning: w"]),
        ({"quiet": False, "verbose": 0}, ["s: begins", "warning: w"]),
        ({"quiet": False, "verbose": 1}, ["s: begins", "s| line", "warning: w"]),
        ({"quiet": False, "verbose": 2}, ["detail", "s: begins", "s| line", "warning: w"]),
    ],
)
def test_as_much_is_shown_as_is_asked_for(
    capsys: pytest.CaptureFixture[str], options: dict[str, int], shown: list[str]
) -> None:
    show = Show()
    show.configure(argparse.Namespace(**options))
    with show.listening():
        events.emit(events.Debug("detail"))
        events.emit(events.Step("s", "begins"))
        events.emit(events.Output("s", "line"))
        events.emit(events.Transfer("s", 1, 2))
        events.emit(events.Warn("w"))
    told = capsys.readouterr()
    assert (told.out, told.err.splitlines()) == ("", shown)


@pytest.mark.parametrize(("options", "status"), [({}, 1), ({"error_status": 125}, 125)])
def test_the_status_of_an_error(options: dict[str, int], status: int) -> None:
    show = Show()
    show.configure(argparse.Namespace(quiet=False, verbose=0, **options))
    assert show.status_of(InstallError("x")) == status
    assert show.status_of(ValueError("x")) == options.get("error_status", 3)


@pytest.mark.parametrize(
    ("error", "what", "hint"),
    [
        (FileNotFoundError(2, "No such file or directory", "/x"), "No such file or directory: /x", ""),
        (OSError(28, "No space left on device"), "No space left on device", "free some space"),
        (PermissionError(13, "Permission denied", "/x"), "Permission denied: /x", "root"),
        (OSError("odd"), "odd", ""),
    ],
)
def test_an_error_of_the_operating_system(error: OSError, what: str, hint: str) -> None:
    told = from_system(error)
    assert told.what == what and hint in told.hint and told.status == 3


def test_a_reader_that_has_gone_is_told_by_the_status_alone() -> None:
    source, sink = os.pipe()
    os.close(source)
    done = subprocess.run([sys.executable, "-m", "postroj", "list-images"], stdout=sink, stderr=subprocess.PIPE)
    os.close(sink)
    assert (done.returncode, done.stderr) == (141, b"")


# list-images

_ALL = len(entries()) + len([box for box in boxes.entries() if box.alias])


def test_the_images_plain(postroj: Postroj) -> None:
    done = postroj("list-images")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    machines = [box for box in boxes.entries() if box.alias]
    assert [(row[0], row[1], row[2]) for row in rows] == [
        *((e.name, e.alias, e.family) for e in entries()),
        *((box.name, box.alias, "-") for box in machines),
    ]
    assert [row[3] for row in rows] == [
        eol.isoformat() if eol else "-" for eol in [*(e.eol for e in entries()), *(box.eol for box in machines)]
    ]
    assert {tuple(row[4:7]) for row in rows} == {("no", "-", "-")}
    both = [("container, vm" if boxes.find(e.name) or is_possible(e.name) else "container") for e in entries()]
    assert [row[7] for row in rows] == [*both, *("vm" for _ in machines)]


def test_the_images_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    pulled("debian-bookworm")
    (Path(pulled("debian-trixie")) / "record").write_text("{")
    assert status_of("list-images", "--format=json") == 0
    told = {image["name"]: image for image in json.loads(capsys.readouterr().out)}
    assert list(told) == [*(entry.name for entry in entries()), *(box.name for box in boxes.entries() if box.alias)]
    assert told["windows-2022"]["kinds"] == ["vm"] and told["windows-2022"]["family"] is None
    assert told["windows-2022"]["vm"]["communicator"] == "winrm" and told["windows-2022"]["vm"]["memory"] == 4096
    assert told["windows-2022"]["sources"][0] == "vagrant:gusztavvargadr/windows-server-2022-standard"
    assert told["debian-trixie"]["vm"]["boxes"][0]["providers"] == ["libvirt"]
    assert told["debian-sid"]["kinds"] == ["container", "vm"] and told["debian-sid"]["vm"]["boxes"] == []
    assert told["archlinux"]["kinds"] == ["container"] and told["archlinux"]["vm"] is None
    bookworm = told["debian-bookworm"]
    assert (bookworm["alias"], bookworm["reference"], bookworm["status"]) == (
        "debian-12",
        "bootstrap:bookworm",
        "2026-01-02",
    )
    assert bookworm["sources"] == ["bootstrap:bookworm", "docker://docker.io/library/debian:bookworm"]
    assert bookworm["architectures"] == ["amd64", "arm64"] and bookworm["end_of_life"] == "2028-06-30"
    assert bookworm["systemd"] == "252" and is_digest(bookworm["digest"])
    assert bookworm["pulled"] == "2026-01-02T03:04:05+00:00" and bookworm["size"] > 0
    assert told["debian-trixie"]["status"] == "damaged" and told["debian-trixie"]["size"] is None
    assert told["debian-sid"]["status"] == "no" and told["debian-sid"]["pulled"] is None


def test_the_images_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    pulled("debian-bookworm")
    assert status_of("list-images", "--format=table") == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.replace("END OF LIFE", "EOL").split() == [
        *("NAME", "ALIAS", "FAMILY", "EOL", "PULLED", "SYSTEMD", "SIZE", "KIND")
    ]
    assert len(rows) == _ALL
    column = head.index("PULLED")
    assert {row[column:].split()[0] for row in rows} == {"no", "2026-01-02"}


@pytest.mark.parametrize(("field", "value"), [("pulled", 5), ("size", "x"), ("pulled", None)])
def test_one_wrong_record_does_not_hide_the_other_images(
    capsys: pytest.CaptureFixture[str], field: str, value: object
) -> None:
    record = Path(pulled("debian-bookworm")) / "record"
    record.write_text(json.dumps({**json.loads(record.read_text()), field: value}))
    assert status_of("list-images", "--format=plain") == 0
    told = capsys.readouterr().out.splitlines()
    assert len(told) == _ALL
    assert [line.split("\t")[4] for line in told if line.startswith("debian-bookworm\t")] == ["damaged"]


def listed(capsys: pytest.CaptureFixture[str], *options: str) -> list[list[str]]:
    assert status_of("list-images", "--format=plain", *options) == 0
    return [line.split("\t") for line in capsys.readouterr().out.splitlines()]


def test_what_is_here_without_the_catalogue_comes_last(capsys: pytest.CaptureFixture[str]) -> None:
    tree = pulled("mine", reference="docker://h/x", systemd="255")
    pulled("alpine-3.20", family="none", systemd="")
    (Path(pulled("zz-damaged")) / "record").unlink()
    size = f"{json.loads((Path(tree) / 'record').read_text())['size'] / 1e6:.0f} MB"
    rows = listed(capsys)
    assert rows[-2:] == [
        ["mine", "-", "apt", "-", "2026-01-02", "255", size, "container"],
        ["zz-damaged", "-", "-", "-", "damaged", "-", "-", "container"],
    ]  # fmt: skip
    assert len(rows) == _ALL + 2
    assert ["alpine-3.20", "alpine-320", "apk", "2026-04-01", "2026-01-02", "-", size, "container"] in rows
    assert [row[0] for row in listed(capsys, "--pulled")] == ["alpine-3.20", "mine", "zz-damaged"]


def test_what_is_here_without_the_catalogue_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    pulled("mine", reference="docker://h/x")
    assert status_of("list-images", "--format=json", "--pulled") == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["name"], told["family"], told["sources"]) == ("mine", "apt", ["docker://h/x"])
    assert told["alias"] is told["end_of_life"] is None and told["reference"] == "docker://h/x"


@pytest.mark.parametrize("family", ["apt", "dnf", "yum", "zypper", "pacman", "apk", "microdnf"])
def test_images_of_one_family(capsys: pytest.CaptureFixture[str], family: str) -> None:
    assert [row[0] for row in listed(capsys, f"--family={family}")] == [e.name for e in entries() if e.family == family]


def test_images_by_their_support(capsys: pytest.CaptureFixture[str]) -> None:
    pulled("mine")
    ended, supported = listed(capsys, "--end-of-life"), listed(capsys, "--supported")
    assert sorted(ended + supported) == sorted(listed(capsys))
    names = {row[0] for row in ended}
    assert {"debian-stretch", "centos-7"} <= names and not {"debian-sid", "mine", "rhel-10"} & names
    today = date.today().isoformat()
    assert all(row[3] < today for row in ended) and all(row[3] >= today or row[3] == "-" for row in supported)
    assert listed(capsys, "--supported", "--pulled", "--family=apt") == [row for row in supported if row[0] == "mine"]


# pull and image


@pytest.mark.parametrize(
    ("words", "told"),
    [
        *(
            (["--locked", *more], "--locked goes with names and --offline only")
            for more in (
                ["--all"],
                ["--update"],
                ["--platform=amd64"],
                ["--lock"],
                ["--source=oci"],
                ["debian-12", "--update"],
            )
        ),
        *(
            (words, "name the images to pull, or use --all")
            for words in ([], ["--lock"], ["--update"], ["--offline"], ["--platform=arm64"], ["--all", "debian-12"])
        ),
        (["--locked"], "there is no postroj.lock"),
        (["debian-12", "--platform=nonsense/x"], "'nonsense/x' is not a platform"),
        (["bootstrap:sid", "--platform=arm64"], "--platform is for images from registries"),
        (["debian-10", "--source=bootstrap"], "debian-buster has no source of the kind bootstrap"),
        (["debian-12@sha256:1"], "'sha256:1' is not a digest"),
        (["debian-12", "plan9"], "there is no image 'plan9'"),
    ],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root is told that first")
def test_what_cannot_be_pulled_is_told_with_the_reason(
    capsys: pytest.CaptureFixture[str], places: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    monkeypatch.chdir(places)
    assert status_of("pull", *words) == 2
    assert capsys.readouterr().err.startswith(f"postroj: {told}")


@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root is told that first")
def test_a_broken_lock_file_is_told_before_anything_is_pulled(
    capsys: pytest.CaptureFixture[str], places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(places)
    (places / "postroj.lock").write_text("broken")
    assert status_of("pull", "--lock", "--offline", "debian-12") == 2
    assert capsys.readouterr().err.startswith("postroj: postroj.lock cannot be read")


def test_a_lock_file_may_name_what_is_not_in_the_catalogue(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(places)
    digest = "sha256:" + "1" * 64
    tables = [
        f'[[image]]\nname = "{name}"\nreference = "/x.tar"\ndigest = "{digest}"\n' for name in ("mine", "debian-buster")
    ]
    (places / "postroj.lock").write_text("".join(tables))

    def locked(*names: str) -> list[str]:
        return list(_locked(argparse.Namespace(names=list(names), offline=True)))

    assert locked() == ["mine", "debian-buster"]
    assert locked("mine") == ["mine"]
    assert locked("debian-10") == ["debian-buster"]
    with pytest.raises(UsageError, match=r"postroj\.lock does not have debian-sid"):
        locked("debian-sid")
    with pytest.raises(UsageError, match="there is no image"):
        locked("theirs")


DAY = 86400.0


@pytest.mark.parametrize(
    ("older_than", "unused_for", "old"),
    [
        (None, None, False),
        (30, None, True),
        (50, None, False),
        (None, 10, True),
        (None, 30, False),
        (50, 10, False),
        (30, 10, True),
    ],
)
def test_images_that_are_old_or_unused(older_than: int | None, unused_for: int | None, old: bool) -> None:
    now = time.time()
    then = datetime.fromtimestamp(now - 40 * DAY, UTC).isoformat()
    note = Path(pulled("mine", pulled=then)) / "names/mine"
    os.utime(note, (now - 20 * DAY, now - 20 * DAY))
    args = argparse.Namespace(older_than=older_than, unused_for=unused_for)
    for _ in range(2):  # to ask is no use
        assert _is_old("mine", args, now) is old


@pytest.mark.parametrize("field", ["size", "pulled"])
def test_a_record_that_cannot_be_read_is_not_old(field: str) -> None:
    record = Path(pulled("mine")) / ("names/mine" if field == "pulled" else "record")
    record.write_text(json.dumps({**json.loads(record.read_text()), field: "x"}))
    assert not _is_old("mine", argparse.Namespace(older_than=0, unused_for=0), time.time())
    assert not _is_old("nothing", argparse.Namespace(older_than=0, unused_for=0), time.time())


# completion

needs_bash = pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")

_COMPLETE = """
postroj() { printf 'debian-bookworm\\tdebian-12\\tapt\\n'; }
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
$(complete -p postroj | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script() -> str:
    return completion.script("bash")


@needs_bash
def test_completion_for_bash_is_valid(script: str) -> None:
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@needs_bash
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["postroj", ""], set(COMMANDS)),
        (["postroj", "pk"], {"pkgprobe"}),
        (["postroj", "pkgprobe", "--check-"], {"--check-unit", "--check-network"}),
        (["postroj", "pkgprobe", "--image", "debian-b"], {"debian-bookworm"}),
        (["postroj", "run", "debian-1"], {"debian-12"}),
        (["postroj", "pull", "debian"], {"debian-bookworm", "debian-12"}),
        (["postroj", "image", "rm", "debian-b"], {"debian-bookworm"}),
        (["postroj", "pkgprobe", "--package", "src/postroj/__i"], {"src/postroj/__init__.py"}),
        (["postroj", "image", "import", "src/p"], {"src/postroj"}),
        (["postroj", "list-images", "--format", ""], {"table", "plain", "json"}),
        (["postroj", "completion", "z"], {"zsh"}),
        (["postroj", "test", "src/p"], {"src/postroj"}),
        (["postroj", "test", "--plan", "=", "src/postroj/__i"], {"src/postroj/__init__.py"}),
        (["postroj", "test", "--image", "=", "debian-b"], {"debian-bookworm"}),
        (["postroj", "test", "--list", "=", "git"], {"github", "gitlab"}),
        (["postroj", "test", "--start", "=", "n"], {"never"}),
        (["postroj", "test", "--upgrade-from", "=", "src/p"], {"src/postroj"}),
        (["postroj", "test", "--retr"], {"--retries"}),
        (["postroj", "exec", "debian-b"], {"debian-bookworm"}),
        (["postroj", "stop", "debian-b"], {"debian-bookworm"}),
        (["postroj", "cp", "src/p"], {"src/postroj"}),
        (["postroj", "pkgprobe", "--keep", "=", "f"], {"failure"}),
        (["postroj", "pkgprobe", "--image", "=", "debian-b"], {"debian-bookworm"}),
        (["postroj", "pkgprobe", "--image", "="], {"debian-bookworm", "debian-12"}),
        (["postroj", "pkgprobe", "--image", "=", "x", "--start", "=", "n"], {"never"}),
        (
            ["postroj", "pkgprobe", "--image", "=", "x", "--package", "=", "src/postroj/__i"],
            {"src/postroj/__init__.py"},
        ),
        (["postroj", "run", "--bind", "=", "/a", ":", "/b", "-p", "8080", ":", "80", "debian-b"], {"debian-bookworm"}),
        (["postroj", "run", "--network", "=", "none", "debian-1"], {"debian-12"}),
    ],
)
def test_completion_in_bash(script: str, words: list[str], offered: set[str]) -> None:
    done = subprocess.run(["bash", "-c", script + _COMPLETE, *words[:1], *words], capture_output=True, text=True)
    assert done.stderr == ""
    assert offered <= set(done.stdout.split())
    if words[-1] != "=":
        assert "-" not in done.stdout.split()
    if words[-1] not in ("", "="):
        assert all(word.startswith(words[-1]) for word in done.stdout.split())


def test_completion_for_zsh_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("completion", "zsh") == 0
    told = capsys.readouterr().out
    assert told.startswith("#compdef postroj") and all(command in told for command in COMMANDS)


_FISH = """
function postroj; printf 'debian-bookworm\\tdebian-12\\tapt\\nmine\\t-\\tapt\\n'; end
source $argv[1]
complete -C $argv[2] | string replace --regex '\\t.*' ''
"""
_WITH_VALUES = [
    ("postroj pkgprobe --image=debian-b", "debian-bookworm"),
    ("postroj pkgprobe --image debian-b", "debian-bookworm"),
    ("postroj pkgprobe --image=x --start=n", "never"),
    ("postroj pkgprobe --image=x --package=src/postroj/__i", "src/postroj/__init__.py"),
    ("postroj run --bind=/a:/b --network=none debian-b", "debian-bookworm"),
]


def test_completion_for_zsh_takes_values_after_an_equals_sign() -> None:
    """As _arguments wants it: `--option=[help]:message:action`, with `\\:` in the message."""
    lines = completion.script("zsh").splitlines()
    assert any(line.startswith('  "--image=[') and line.endswith(':_postroj_images"') for line in lines)
    assert any(line.startswith('  "*--bind=[') and line.endswith(':SOURCE[\\:TARGET]:_files"') for line in lines)
    assert any(line.startswith('  "*"{-e,--env=}"[') for line in lines)
    assert any(line.startswith('  "--offline[') for line in lines)
    options = [line for line in lines if line.startswith(('  "--', '  "*--', '  "*"{-'))]
    assert all(("=[" in line or "=}" in line) == bool(re.search(r"\]:.*:", line)) for line in options)


@pytest.mark.skipif(not shutil.which("fish"), reason="needs fish")
@pytest.mark.parametrize(("line", "offered"), _WITH_VALUES)
def test_completion_in_fish(tmp_path: Path, line: str, offered: str) -> None:
    (tmp_path / "completion").write_text(completion.script("fish"))
    command = ["fish", "--no-config", "-c", _FISH, str(tmp_path / "completion"), line]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HOME": str(tmp_path)})
    word = line.split()[-1]
    prefix = word.partition("=")[0] + "=" if word.startswith("--") else ""
    assert (done.stdout.split(), done.stderr) == ([prefix + offered], "")
